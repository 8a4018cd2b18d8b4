/**
 * The Secret of the control-plane CA: how a rotation stands in it. `ca.crt` and `private.key` are the CA that takes over, or has
 * taken over; `former.crt` holds roots that are still trusted beside it; `former.key` signs until the switch, and is then
 * removed. The times are annotations, and are of that CA alone which `rotating-to` names: whoever puts another CA into the
 * Secret makes them void.
 */
import type { CertificateAuthority } from '#certificates/ca.ts';
import type { RotationMove } from './plan/plan-types.ts';

export const keys = {
  certificate: 'ca.crt',
  privateKey: 'private.key',
  formerCertificate: 'former.crt',
  formerPrivateKey: 'former.key',
} as const;

export const annotations = {
  request: 'openservicemesh.io/rotation-request',
  rotatingTo: 'openservicemesh.io/rotating-to',
  trustedSince: 'openservicemesh.io/trusted-since',
  switchedAt: 'openservicemesh.io/switched-at',
} as const;

/** On the MeshConfig: each new value asks for a new control-plane CA. */
export const rotateAnnotation = 'openservicemesh.io/rotate-control-plane-ca';

/** What changes in the Secret; null removes. Values of `data` are base64. */
export interface SecretPatch {
  readonly data: Readonly<Record<string, string | null>>;
  readonly annotations: Readonly<Record<string, string | null>>;
}

export interface MoveContext {
  /** Fingerprint of the CA in `ca.crt`. */
  readonly ca: string;
  /** `data` of the Secret as it stands. */
  readonly stored: Readonly<Record<string, string>>;
  /** Milliseconds since the epoch. */
  readonly now: number;
  /** Makes a new CA; asked for `begin` alone. */
  readonly makeAuthority: () => Promise<CertificateAuthority>;
}

const noTimes = { [annotations.trustedSince]: null, [annotations.switchedAt]: null };

export async function patchFor(move: RotationMove, context: MoveContext): Promise<SecretPatch> {
  const { ca, stored, now, makeAuthority } = context;
  const time = new Date(now).toISOString();
  switch (move.kind) {
    case 'begin': {
      const made = await makeAuthority();
      return {
        data: {
          ...authorityData(made),
          [keys.formerCertificate]: stored[keys.certificate] ?? null,
          [keys.formerPrivateKey]: stored[keys.privateKey] ?? null,
        },
        annotations: {
          ...noTimes,
          [annotations.rotatingTo]: made.fingerprint,
          [annotations.request]: move.request ?? null,
        },
      };
    }
    case 'keep-former':
      return {
        data: { [keys.formerCertificate]: base64(move.rootsPem), [keys.formerPrivateKey]: null },
        annotations: { ...noTimes, [annotations.rotatingTo]: ca },
      };
    case 'trusted':
      // A time that is there may be of another CA, which this one has replaced.
      return {
        data: {},
        annotations: { ...noTimes, [annotations.rotatingTo]: ca, [annotations.trustedSince]: time },
      };
    case 'untrusted':
      return { data: {}, annotations: { [annotations.trustedSince]: null } };
    case 'switch':
      return {
        data: { [keys.formerPrivateKey]: null },
        annotations: { [annotations.rotatingTo]: ca, [annotations.switchedAt]: time },
      };
    case 'retire':
      return {
        data: { [keys.formerCertificate]: null, [keys.formerPrivateKey]: null },
        annotations: { ...noTimes, [annotations.rotatingTo]: null },
      };
  }
}

export function authorityData({ certificatePem, privateKey }: CertificateAuthority): Record<string, string> {
  return {
    [keys.certificate]: base64(certificatePem),
    [keys.privateKey]: base64(privateKey.revealText()),
  };
}

export function base64(text: string): string {
  return Buffer.from(text, 'utf8').toString('base64');
}
