/** Workload certificates and roots as the two secrets that a sidecar gets. */
import type { WorkloadCertificate } from '#certificates/leaf.ts';
import type { Trust } from '#certificates/trust.ts';
import type { WorkloadCache } from '#certificates/workload-cache.ts';
import { type AccountKey, splitAccountKey } from '#mesh/identity.ts';
import { resourceMap, type ResourceMap } from '#xds/cache/snapshot.ts';
import { translateRoots, translateSecrets } from '#xds/translate/translate.ts';

/** What peers trust now, and when that changes. */
export interface CurrentTrust {
  current(): Trust;
  subscribe(listener: () => void): () => void;
}

/**
 * How long a sidecar waits for its certificate before it is given all the rest, in milliseconds. A provider that is down must
 * not keep configuration from sidecars that hold a certificate already (they are not told that it is missing); the clusters and
 * listeners of those that hold none go on waiting for it, and so do their pods.
 */
const longestWaitMs = 3_000;

/** Subscribes to the secrets of an account. Streams of one account share one map, which goes with its certificate and the roots. */
export function secretsFrom(
  cache: WorkloadCache,
  trust: CurrentTrust,
  waitMs = longestWaitMs,
): (account: AccountKey, onSecrets: (secrets: ResourceMap) => void) => () => void {
  let made = new WeakMap<WorkloadCertificate, ResourceMap>();
  let rootsAlone: ResourceMap | undefined;
  let madeFor = trust.current();

  function secretsOf(certificate: WorkloadCertificate | undefined): ResourceMap {
    if (madeFor !== trust.current()) {
      madeFor = trust.current();
      made = new WeakMap();
      rootsAlone = undefined;
    }
    const roots = Object.fromEntries(madeFor);
    if (certificate === undefined) return (rootsAlone ??= resourceMap(translateRoots(roots)));
    const secrets =
      made.get(certificate) ??
      resourceMap(
        translateSecrets({
          workload: {
            certificateChain: certificate.chainPem,
            privateKey: () => certificate.privateKey.revealText(),
          },
          roots,
        }),
      );
    made.set(certificate, secrets);
    return secrets;
  }

  return (account, onSecrets) => {
    const identity = splitAccountKey(account);
    let given = false;
    const give = (certificate: WorkloadCertificate | undefined): void => {
      given = true;
      clearTimeout(timer);
      onSecrets(secretsOf(certificate));
    };
    const timer = setTimeout(() => give(cache.current(identity)), waitMs);
    const stopCertificates = cache.subscribe(identity, give);
    const stopTrust = trust.subscribe(() => {
      if (given) give(cache.current(identity));
    });
    return () => {
      clearTimeout(timer);
      stopCertificates();
      stopTrust();
    };
  };
}
