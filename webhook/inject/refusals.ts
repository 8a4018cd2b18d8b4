/** Why a pod that is meant to be in the mesh cannot be: each refusal says what to change. */
import { unreadableAnnotation } from './annotations.ts';
import { meaningOf } from '#crds/on-off.ts';
import {
  INIT_CONTAINER,
  isReservedPort,
  METRICS,
  POD_SECURITY_ENFORCE,
  RESERVED_PORTS,
  SIDECAR_CONTAINER,
  SIDECAR_USER,
  TOKEN_VOLUME,
  TRUST_VOLUME,
} from './names.ts';
import { type Container, type Namespace, type Pod, allContainers } from './pod.ts';
import { exceedsRawPorts, probeTargets } from './probes.ts';
import { type Refusal, refuse } from './reasons.ts';

type Check = (pod: Pod, namespace: Namespace) => Refusal | undefined;

/** In the order of how fundamental they are; the first that applies is the answer. */
const CHECKS: readonly Check[] = [
  windows,
  podSecurityLevel,
  takenName,
  takenVolume,
  sidecarUser,
  reservedPort,
  tooManyProbePorts,
  unreadableAnnotation,
  unreadableMetrics,
];

/** @param pod as the user wrote it (see restore.ts). */
export function refusalOf(pod: Pod, namespace: Namespace): Refusal | undefined {
  for (const check of CHECKS) {
    const refusal = check(pod, namespace);
    if (refusal) return refusal;
  }
  return undefined;
}

function windows(pod: Pod): Refusal | undefined {
  const system = pod.spec.os?.name ?? pod.spec.nodeSelector?.['kubernetes.io/os'];
  return system === 'windows'
    ? refuse('windows', 'the pod is for Windows nodes, where the mesh has no sidecar')
    : undefined;
}

function podSecurityLevel(_pod: Pod, namespace: Namespace): Refusal | undefined {
  const level = namespace.metadata.labels?.[POD_SECURITY_ENFORCE];
  if (level !== 'baseline' && level !== 'restricted') return undefined;
  return refuse(
    'pod-security-level',
    `namespace ${namespace.metadata.name} enforces the Pod Security level ${level}, which forbids the capability NET_ADMIN that ${INIT_CONTAINER} needs to redirect traffic; set its label ${POD_SECURITY_ENFORCE} to privileged`,
  );
}

function takenName(pod: Pod): Refusal | undefined {
  const taken = allContainers(pod.spec).find(({ name }) => name === SIDECAR_CONTAINER || name === INIT_CONTAINER);
  return (
    taken && refuse('container-name-taken', `the pod has a container ${taken.name} of its own; give it another name`)
  );
}

function takenVolume(pod: Pod): Refusal | undefined {
  const taken = (pod.spec.volumes ?? []).find(({ name }) => name === TOKEN_VOLUME || name === TRUST_VOLUME);
  return taken && refuse('volume-name-taken', `the pod has a volume ${taken.name} of its own; give it another name`);
}

function sidecarUser(pod: Pod): Refusal | undefined {
  const runs = (one: Container) =>
    (one.securityContext?.runAsUser ?? pod.spec.securityContext?.runAsUser) === SIDECAR_USER;
  const container = allContainers(pod.spec).find(runs);
  return (
    container &&
    refuse(
      'sidecar-user',
      `container ${container.name} runs as user ${SIDECAR_USER}, which is the sidecar's: its traffic would bypass the mesh; choose another runAsUser`,
    )
  );
}

function reservedPort(pod: Pod): Refusal | undefined {
  for (const container of allContainers(pod.spec)) {
    const port = (container.ports ?? []).find(({ containerPort }) => isReservedPort(containerPort));
    if (port) return portRefusal(`container ${container.name} listens on port ${port.containerPort}`);
  }
  const probe = probeTargets(pod.spec).find((target) => isReservedPort(target.port));
  return probe && portRefusal(`the ${probe.slot} check of container ${probe.container} asks port ${probe.port}`);
}

function portRefusal(what: string): Refusal {
  return refuse('reserved-port', `${what}, which is the sidecar's (it uses ${RESERVED_PORTS}); choose another port`);
}

function tooManyProbePorts(pod: Pod): Refusal | undefined {
  if (!exceedsRawPorts(probeTargets(pod.spec))) return undefined;
  return refuse(
    'too-many-probe-ports',
    'the HTTPS and gRPC probes of the pod ask more than 40 different ports; use fewer',
  );
}

function unreadableMetrics(_pod: Pod, namespace: Namespace): Refusal | undefined {
  const value = namespace.metadata.annotations?.[METRICS];
  if (meaningOf(value) !== 'unreadable') return undefined;
  return refuse(
    'invalid-metrics-value',
    `namespace ${namespace.metadata.name}: annotation ${METRICS} must be enabled, yes, true, disabled, no or false, not "${value?.slice(0, 64)}"`,
  );
}
