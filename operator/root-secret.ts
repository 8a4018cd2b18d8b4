/**
 * The Secret of the built-in workload root: how a rotation stands in it. `ca.crt` and `private.key` are the root that signs, at any
 * time, as they were in OSM; `standby.crt` and `standby.key` the other one, which is trusted beside it and could sign. The annotation
 * `rotating-to` names that of the two which stays in the end (SHA-256), so that taking back changes nothing else; `ready-since` is
 * the time from which what the next step waits for was so.
 */
import type { CertificateAuthority } from '#certificates/ca.ts';
import { standbyKeys } from '#certificates/secret-store.ts';
import { annotations as caAnnotations, base64, keys as caKeys, type SecretPatch } from './ca-secret.ts';
import type { RootMove } from './plan/plan-types.ts';

export const rootKeys = {
  certificate: caKeys.certificate,
  privateKey: caKeys.privateKey,
  standbyCertificate: standbyKeys.certificate,
  standbyPrivateKey: standbyKeys.privateKey,
} as const;

export const rootAnnotations = {
  request: caAnnotations.request,
  rotatingTo: caAnnotations.rotatingTo,
  readySince: 'openservicemesh.io/ready-since',
} as const;

/** On the MeshConfig: each new value asks for a new built-in root, and `back` takes back what is under way. */
export const rotateRootAnnotation = 'openservicemesh.io/rotate-workload-ca';

export interface RootMoveContext {
  /** `data` of the Secret as it stands. */
  readonly stored: Readonly<Record<string, string>>;
  /** Milliseconds since the epoch. */
  readonly now: number;
  /** Makes a new root; asked for `begin` alone. */
  readonly makeAuthority: () => Promise<CertificateAuthority>;
}

export async function rootPatchFor(
  move: RootMove,
  { stored, now, makeAuthority }: RootMoveContext,
): Promise<SecretPatch> {
  const { certificate, privateKey, standbyCertificate, standbyPrivateKey } = rootKeys;
  const { request, rotatingTo, readySince } = rootAnnotations;
  switch (move.kind) {
    case 'begin': {
      const made = await makeAuthority();
      return {
        data: {
          [standbyCertificate]: base64(made.certificatePem),
          [standbyPrivateKey]: base64(made.privateKey.revealText()),
        },
        annotations: { [rotatingTo]: made.fingerprint, [request]: move.request ?? null, [readySince]: null },
      };
    }
    case 'turn':
      return {
        data: {},
        annotations: { [rotatingTo]: move.to, [request]: move.request, [readySince]: null },
      };
    case 'ready':
      return { data: {}, annotations: { [readySince]: new Date(now).toISOString() } };
    case 'unready':
      return { data: {}, annotations: { [readySince]: null } };
    case 'switch': {
      const [nextCertificate, nextKey] = [stored[standbyCertificate], stored[standbyPrivateKey]];
      if (!nextCertificate || !nextKey) throw new Error('there is no root that could take over');
      return {
        data: {
          [certificate]: nextCertificate,
          [privateKey]: nextKey,
          [standbyCertificate]: stored[certificate] ?? null,
          [standbyPrivateKey]: stored[privateKey] ?? null,
        },
        annotations: { [readySince]: null },
      };
    }
    case 'retire':
      return {
        data: { [standbyCertificate]: null, [standbyPrivateKey]: null },
        annotations: { [rotatingTo]: null, [readySince]: null },
      };
  }
}
