/**
 * Who is meant to be in the mesh: one table, read twice. `decide()` evaluates the functions; the guard policy of the API
 * server is built from the CEL beside them. Each row holds both, so that neither can be changed alone, and a test
 * compares them on a real API server.
 */
import { WORDS } from '#crds/on-off.ts';
import type { Namespace, Pod } from './pod.ts';
import type { InjectKey, SkipKey } from './reasons.ts';
import { CONTROL_PLANE, IGNORE, MONITORED_BY, SIDECAR_INJECTION, SYSTEM_NAMESPACES } from './names.ts';

export interface MeshIdentity {
  readonly meshName: string;
  readonly controlPlaneNamespace: string;
}

/** A reason to leave a pod alone, whatever it or its namespace asks for. */
export interface Exemption {
  readonly reason: SkipKey;
  readonly message: string;
  readonly holds: (pod: Pod, namespace: Namespace, mesh: MeshIdentity) => boolean;
  /** The same in CEL, with `object` the pod. `monitored-by` counts by presence there: the guard stands before any mesh has a name. */
  readonly cel: (controlPlaneNamespace: string) => string;
}

const label = (namespace: Namespace, key: string) => namespace.metadata.labels?.[key];
const celLabels = 'namespaceObject.metadata.?labels.orValue({})';

export const EXEMPTIONS: readonly Exemption[] = [
  {
    reason: 'host-network',
    message: "the pod uses the node's network, where redirecting traffic would redirect the node's",
    holds: (pod) => pod.spec.hostNetwork === true,
    cel: () => 'object.spec.?hostNetwork.orValue(false)',
  },
  {
    reason: 'control-plane-namespace',
    message: "the pod is in the control plane's namespace",
    holds: (_pod, namespace, mesh) => namespace.metadata.name === mesh.controlPlaneNamespace,
    cel: (controlPlane) => `namespaceObject.metadata.name == ${quote(controlPlane)}`,
  },
  {
    reason: 'system-namespace',
    message: 'the pod is in a namespace of Kubernetes itself',
    holds: (_pod, namespace) => SYSTEM_NAMESPACES.some((name) => name === namespace.metadata.name),
    cel: () => `namespaceObject.metadata.name in [${SYSTEM_NAMESPACES.map(quote).join(', ')}]`,
  },
  {
    reason: 'namespace-not-monitored',
    message: `the namespace has no label ${MONITORED_BY} with this mesh's name`,
    holds: (_pod, namespace, mesh) => label(namespace, MONITORED_BY) !== mesh.meshName,
    cel: () => `!(${quote(MONITORED_BY)} in ${celLabels})`,
  },
  {
    reason: 'namespace-ignored',
    message: `the namespace has the label ${IGNORE}`,
    holds: (_pod, namespace) => label(namespace, IGNORE) !== undefined,
    cel: () => `${quote(IGNORE)} in ${celLabels}`,
  },
  {
    reason: 'namespace-control-plane-label',
    message: `the namespace has the label ${CONTROL_PLANE}`,
    holds: (_pod, namespace) => label(namespace, CONTROL_PLANE) !== undefined,
    cel: () => `${quote(CONTROL_PLANE)} in ${celLabels}`,
  },
];

/** A place where `openservicemesh.io/sidecar-injection` may stand. */
export interface Source {
  readonly reason: InjectKey;
  readonly owner: 'pod' | 'namespace';
  readonly where: 'annotation' | 'label';
  readonly value: (pod: Pod, namespace: Namespace) => string | undefined;
  /** CEL of the map that holds the value. */
  readonly celMap: string;
}

/** Strongest first: the first one that says something decides. */
export const SOURCES: readonly Source[] = [
  {
    reason: 'pod-annotation',
    owner: 'pod',
    where: 'annotation',
    value: (pod) => pod.metadata.annotations?.[SIDECAR_INJECTION],
    celMap: 'object.metadata.?annotations.orValue({})',
  },
  {
    reason: 'pod-label',
    owner: 'pod',
    where: 'label',
    value: (pod) => pod.metadata.labels?.[SIDECAR_INJECTION],
    celMap: 'object.metadata.?labels.orValue({})',
  },
  {
    reason: 'namespace-annotation',
    owner: 'namespace',
    where: 'annotation',
    value: (_pod, namespace) => namespace.metadata.annotations?.[SIDECAR_INJECTION],
    celMap: 'namespaceObject.metadata.?annotations.orValue({})',
  },
  {
    reason: 'namespace-label',
    owner: 'namespace',
    where: 'label',
    value: (_pod, namespace) => namespace.metadata.labels?.[SIDECAR_INJECTION],
    celMap: celLabels,
  },
];

/** CEL that gives the Meaning of one source. */
export function celMeaning(source: Source): string {
  const value = `${source.celMap}[${quote(SIDECAR_INJECTION)}].lowerAscii()`;
  const within = (words: readonly string[]) => `${value} in [${words.map(quote).join(', ')}]`;
  return (
    `!(${quote(SIDECAR_INJECTION)} in ${source.celMap}) ? 'unset' : ` +
    `${within(WORDS.on)} ? 'on' : ${within(WORDS.off)} ? 'off' : 'unreadable'`
  );
}

/** A CEL string literal. */
export function quote(text: string): string {
  return `'${text.replace(/[\\']/g, '\\$&')}'`;
}
