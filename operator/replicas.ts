/** Asks each pod of injector and controller, by a TLS handshake, which of the trusted CAs signed what it serves. */
import { X509Certificate } from 'node:crypto';
import { servingNames } from '#cdk8s/names.ts';
import { Pods } from '#kubernetes/kinds.ts';
import type { KubeObject, KubernetesClient } from '#kubernetes/types.ts';
import { signerAmong } from './certificate-secrets.ts';
import { handshake, portOf } from './handshake.ts';
import { components, type Replica } from './plan/observed.ts';

export interface AskOptions {
  readonly client: KubernetesClient;
  /** The control plane's. */
  readonly namespace: string;
  /** PEM of all that is trusted. */
  readonly rootsPem: string;
}

/**
 * Pods that are not ready and do not answer are left out: they serve nobody, and read their Secret before they do. Throws what the
 * API server refused.
 */
export async function askReplicas({ client, namespace, rootsPem }: AskOptions): Promise<Replica[]> {
  const labelSelector = `app in (${components.join(',')})`;
  const { items } = await client.list<KubeObject>(Pods, { namespace, labelSelector });
  const answers = items.map(async (pod): Promise<Replica | undefined> => {
    const component = components.find((name) => name === pod.metadata.labels?.['app']);
    const { phase, podIP, conditions = [] } = (pod.status ?? {}) as PodStatus;
    if (component === undefined || podIP === undefined || phase !== 'Running') return undefined;
    const servername = servingNames(component, namespace)[0] ?? '';
    const served = await handshake({ host: podIP, port: portOf[component], servername, ca: rootsPem });
    if (served === 'no answer' && !conditions.some(({ type, status }) => type === 'Ready' && status === 'True')) {
      return undefined;
    }
    const signer = served instanceof X509Certificate ? signerAmong(served, rootsPem) : undefined;
    return { component, pod: pod.metadata.name, signer };
  });
  const replicas = (await Promise.all(answers)).filter((replica) => replica !== undefined);
  return replicas.sort((a, b) => (a.pod < b.pod ? -1 : 1));
}

interface PodStatus {
  readonly phase?: string;
  readonly podIP?: string;
  readonly conditions?: readonly { readonly type: string; readonly status: string }[];
}
