/**
 * Roots that were found, in the status of their MeshRootCertificate: every replica trusts what one has found, and a replica
 * that starts while the provider is down knows them too.
 */
import { mergeRoots } from '#certificates/pem.ts';
import { isConflict } from '#kubernetes/error.ts';
import { MeshRootCertificates } from '#kubernetes/kinds.ts';
import { pathOf } from '#kubernetes/paths.ts';
import { rootCertificate } from './parse/root-certificate.ts';
import type { KubeObject, KubernetesClient } from '#kubernetes/types.ts';

export interface RootMemoryOptions {
  readonly client: KubernetesClient;
  readonly namespace: string;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

const tries = 5;

/** Adds roots to those in the status; never takes one away but by its expiry. Throws a KubernetesError. */
export async function rememberRoots(
  { client, namespace, now }: RootMemoryOptions,
  root: { readonly name: string; readonly uid: string },
  rootsPem: string,
): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    const object = await client.get<KubeObject>(MeshRootCertificates, root.name, namespace);
    if (object === undefined || object.metadata.uid !== root.uid) return; // deleted, or made anew: not ours to write
    const { knownRoots } = rootCertificate(object, namespace);
    const roots = mergeRoots([knownRoots, rootsPem], now());
    if (roots === knownRoots) return;
    const { resourceVersion } = object.metadata;
    try {
      // A merge patch that names the version: replicas that find two roots at once must not lose one.
      await client.request(
        'PATCH',
        pathOf(MeshRootCertificates, { namespace, name: root.name, subresource: 'status' }),
        { metadata: { resourceVersion }, status: { roots } },
        { 'content-type': 'application/merge-patch+json' },
      );
      return;
    } catch (error) {
      if (!isConflict(error) || attempt === tries) throw error;
    }
  }
}
