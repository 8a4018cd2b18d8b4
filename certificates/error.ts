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
  | 'ca-root-missing'
  | 'ca-secret-incomplete'
  | 'ca-secret-missing'
  | ProviderReason;

/** What a provider outside did or said. Its own words stand in the message. */
export type ProviderReason =
  /** No answer, or one that says "not now": a connection that failed, 429, 5xx, a sealed Vault. */
  | 'provider-unreachable'
  /** No certificate within the time given. */
  | 'provider-timeout'
  /** The request was denied, by an approver or for want of rights. */
  | 'provider-denied'
  /** The provider tried, and failed. */
  | 'provider-failed'
  /** There is no such issuer, mount or role; or cert-manager is not installed. */
  | 'provider-not-found'
  /** A Secret that the provider needs is missing, unreadable or lacks the key named. */
  | 'provider-secret-missing'
  /** A certificate came that no peer would accept: other names, another key, not valid now, no use for TLS, forbidden by its chain. */
  | 'provider-certificate-unusable'
  /** The certificate came without the chain that leads to a root. */
  | 'provider-root-unknown'
  /** Another root than those that peers are known to trust: it is spread first, and used at the next try. */
  | 'provider-root-new'
  | 'vault-login-refused'
  | 'vault-uri-sans-not-allowed'
  | 'vault-names-not-allowed'
  | 'vault-common-name-required'
  | 'vault-key-type-unsupported';

export class CertificateError extends Error {
  readonly reason: CertificateReason;

  constructor(reason: CertificateReason, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'CertificateError';
    this.reason = reason;
  }
}
