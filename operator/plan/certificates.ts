/** When serving certificates are made anew. The shell holds the keys; here are only dates, names and fingerprints. */
import { servingNames } from '#cdk8s/names.ts';
import {
  type ComponentName,
  components,
  type Observed,
  type ObservedAuthority,
  type ServingCertificate,
} from './observed.ts';
import type { Step } from './plan-types.ts';
import { isTrustIncomplete } from './trust.ts';

/** Time at which a certificate is renewed: after two thirds of its life. */
export function renewalTime(certificate: { readonly notBefore: number; readonly notAfter: number }): number {
  return certificate.notBefore + ((certificate.notAfter - certificate.notBefore) * 2) / 3;
}

/** Why a component needs a new certificate now, or undefined. */
export function renewalReason(
  component: ComponentName,
  certificate: ServingCertificate | undefined,
  authority: ObservedAuthority,
  observed: Pick<Observed, 'now' | 'namespace'>,
): string | undefined {
  if (certificate === undefined) return 'serving-certificate-missing';
  if (!mayHaveSigned(authority).includes(certificate.signer ?? '')) return 'serving-certificate-of-another-ca';
  if (servingNames(component, observed.namespace).some((name) => !certificate.dnsNames.includes(name))) {
    return 'serving-names-changed';
  }
  return observed.now >= renewalTime(certificate) ? 'serving-certificate-due' : undefined;
}

/** The CAs whose certificates may be served: the former ones too until the new one signs. */
function mayHaveSigned({ fingerprint, rotation }: ObservedAuthority): string[] {
  const switched = rotation === undefined || rotation.switchedAt !== undefined;
  return switched ? [fingerprint] : [fingerprint, ...rotation.former];
}

export function issueSteps(authority: ObservedAuthority, meshName: string, observed: Observed): Step[] {
  const signer = signerNow(authority, observed);
  if (signer === undefined) return [];
  return components.flatMap((component): Step[] => {
    const reason = renewalReason(component, observed.serving[component], authority, observed);
    if (reason === undefined) return [];
    const dnsNames = servingNames(component, observed.namespace);
    return [{ kind: 'issue', component, dnsNames, meshName, signer, reason }];
  });
}

/** Whose key makes a certificate that is needed now; undefined when it must wait. */
function signerNow(authority: ObservedAuthority, observed: Observed): 'current' | 'former' | undefined {
  const { rotation } = authority;
  if (rotation === undefined || rotation.switchedAt !== undefined) return 'current';
  if (rotation.formerKeyUntil !== undefined && rotation.formerKeyUntil > observed.now) return 'former';
  // The former key is lost or its CA has expired: the new CA signs before its time, as soon as its root was handed out.
  return isTrustIncomplete(authority, observed) ? undefined : 'current';
}

/** Milliseconds until the first renewal; undefined when there is nothing to renew yet. */
export function timeToRenewal(observed: Observed): number | undefined {
  const times = components.flatMap((component) => observed.serving[component] ?? []).map(renewalTime);
  return times.length === 0 ? undefined : Math.max(0, Math.min(...times) - observed.now);
}
