/** Why a certificate authority cannot be used, or a certificate not be issued. A log field, a condition's reason, a metric label. */
export type CertificateReason =
  | 'ca-unreadable'
  | 'ca-not-an-authority'
  | 'ca-expired'
  | 'ca-not-yet-valid'
  | 'ca-key-unreadable'
  | 'ca-key-unsupported'
  | 'ca-key-mismatch'
  | 'ca-chain-broken'
  | 'ca-secret-incomplete';

export class CertificateError extends Error {
  readonly reason: CertificateReason;

  constructor(reason: CertificateReason, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'CertificateError';
    this.reason = reason;
  }
}
