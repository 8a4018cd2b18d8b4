import { meaningOf } from '#crds/on-off.ts';
import type { KubeObject } from '#kubernetes/types.ts';
import { accountKey } from '#mesh/identity.ts';
import type { PodObject } from '#mesh/objects.ts';
import { ACCEPT_PLAINTEXT } from '#mesh/plaintext.ts';
import { type Json, number, record, records, text } from './json.ts';
import { metaOf } from './meta.ts';

const SIDECAR = 'envoy';
const INIT = 'osm-init';
const METRICS_PORT = '15010';

/** Pods that have ended hold no address and are left out: Kubernetes may have given it to another pod already. */
export function parsePod(object: KubeObject): PodObject | undefined {
  const spec = record(object.spec);
  const status = record(object.status);
  if (['Succeeded', 'Failed'].includes(text(status['phase']))) return undefined;
  const meta = metaOf(object);
  const init = records(spec['initContainers']);
  const containers = records(spec['containers']);
  const annotations = object.metadata.annotations ?? {};
  const named = (list: readonly Json[], name: string): boolean => list.some((container) => container['name'] === name);
  const ips = records(status['podIPs']).map((entry) => text(entry['ip']));
  return {
    ...meta,
    labels: object.metadata.labels ?? {},
    account: accountKey(meta.namespace, text(spec['serviceAccountName']) || 'default'),
    node: text(spec['nodeName']),
    hostname: text(spec['hostname']) || meta.name,
    ips: ips.length > 0 ? ips : [text(status['podIP'])].filter(Boolean),
    meshed: named(init, INIT) && (named(init, SIDECAR) || named(containers, SIDECAR)),
    metrics: annotations['prometheus.io/scrape'] === 'true' && annotations['prometheus.io/port'] === METRICS_PORT,
    acceptPlaintext: meaningOf(annotations[ACCEPT_PLAINTEXT]),
    namedPorts: namedPorts([...containers, ...init.filter((container) => container['restartPolicy'] === 'Always')]),
    workload: workloadOf(object),
  };
}

function namedPorts(containers: readonly Json[]): Record<string, number> {
  const ports = containers.flatMap((container) => records(container['ports']));
  return Object.fromEntries(
    ports
      .filter((port) => text(port['name']) !== '')
      .map((port) => [text(port['name']), number(port['containerPort'])]),
  );
}

/** The controller that a user knows: a ReplicaSet that carries its Deployment's template hash stands for that Deployment. */
function workloadOf({ metadata }: KubeObject): PodObject['workload'] {
  const owner = metadata.ownerReferences?.find(({ controller }) => controller === true);
  if (owner === undefined) return { kind: 'Pod', name: metadata.name };
  const hash = metadata.labels?.['pod-template-hash'];
  if (owner.kind === 'ReplicaSet' && hash !== undefined && owner.name.endsWith(`-${hash}`)) {
    return { kind: 'Deployment', name: owner.name.slice(0, -hash.length - 1) };
  }
  return { kind: owner.kind, name: owner.name };
}
