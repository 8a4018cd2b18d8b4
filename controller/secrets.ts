/** Workload certificates as the two secrets that a sidecar gets. */
import type { Issuer } from '#certificates/issuer.ts';
import type { WorkloadCertificate } from '#certificates/leaf.ts';
import type { WorkloadCache } from '#certificates/workload-cache.ts';
import { type AccountKey, splitAccountKey } from '#mesh/identity.ts';
import { resourceMap, type ResourceMap } from '#xds/cache/snapshot.ts';
import { translateSecrets } from '#xds/translate/translate.ts';

/** Subscribes to the secrets of an account. Streams of one account share one map, which goes with its certificate. */
export function secretsFrom(
  cache: WorkloadCache,
  roots: () => ReturnType<Issuer['roots']>,
): (account: AccountKey, onSecrets: (secrets: ResourceMap) => void) => () => void {
  const made = new WeakMap<WorkloadCertificate, ResourceMap>();
  return (account, onSecrets) =>
    cache.subscribe(splitAccountKey(account), (certificate) => {
      const known = made.get(certificate);
      const secrets =
        known ??
        resourceMap(
          translateSecrets({
            workload: {
              certificateChain: certificate.chainPem,
              privateKey: () => certificate.privateKey.revealText(),
            },
            roots: Object.fromEntries(roots()),
          }),
        );
      made.set(certificate, secrets);
      onSecrets(secrets);
    });
}
