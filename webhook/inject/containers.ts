/** The two containers that injection adds, and the volumes that they need. */
import { bootstrapArgument, readProbes } from './bootstrap.ts';
import { copyJson } from './copy.ts';
import { redirectScript, type RedirectOptions } from './iptables.ts';
import {
  INIT_CONTAINER,
  INBOUND_PORT,
  METRICS_PORT,
  READY_PORT,
  SIDECAR_CONTAINER,
  SIDECAR_USER,
  TOKEN_AUDIENCE,
  TOKEN_DIRECTORY,
  TOKEN_SECONDS,
  TOKEN_VOLUME,
  TRUST_CONFIG_MAP,
  TRUST_DIRECTORY,
  TRUST_VOLUME,
} from './names.ts';
import type { Container, Volume } from './pod.ts';
import type { ProbeTarget } from './probes.ts';
import type { InjectSettings } from './settings.ts';
import { type Delay, holdHook } from './shutdown.ts';

const field = (name: string, fieldPath: string) => ({ name, valueFrom: { fieldRef: { fieldPath } } });

/** Redirects the pod's TCP traffic into the sidecar. */
export function initContainer(settings: InjectSettings, redirect: RedirectOptions): Container {
  return {
    name: INIT_CONTAINER,
    image: settings.initImage,
    imagePullPolicy: 'IfNotPresent',
    command: ['/bin/sh', '-c'],
    args: [escapeExpansion(redirectScript(redirect))],
    env: [field('POD_IPS', 'status.podIPs')],
    resources: { requests: { cpu: '10m', memory: '16Mi' } },
    securityContext: {
      runAsUser: 0,
      runAsGroup: 0,
      // Root on purpose, also where the pod says that nobody in it may be.
      runAsNonRoot: false,
      // The API server refuses `privileged: true` together with `allowPrivilegeEscalation: false`.
      ...(settings.privilegedInit ? { privileged: true } : { allowPrivilegeEscalation: false }),
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'], add: ['NET_ADMIN'] },
      seccompProfile: { type: 'RuntimeDefault' },
    },
  };
}

/** Envoy. As a native sidecar it starts before, and stops after, everything that comes behind it in the pod. */
export function sidecarContainer(
  settings: InjectSettings,
  { probes, delays }: { readonly probes: readonly ProbeTarget[]; readonly delays: readonly Delay[] },
): Container {
  const hold = holdHook(delays);
  return {
    name: SIDECAR_CONTAINER,
    image: settings.envoyImage,
    imagePullPolicy: 'IfNotPresent',
    ...(settings.nativeSidecars && { restartPolicy: 'Always' }),
    command: ['envoy'],
    args: [
      '--concurrency',
      '2',
      '--drain-time-s',
      String(settings.drainSeconds),
      '--drain-strategy',
      'immediate',
      // Its socket would have the same name in every Envoy of the pod, the application's own included.
      '--disable-hot-restart',
      '--log-level',
      settings.logLevel,
      '--service-node',
      '$(POD_NAMESPACE)/$(POD_NAME)/$(POD_UID)',
      '--service-cluster',
      '$(SERVICE_ACCOUNT).$(POD_NAMESPACE)',
      '--config-yaml',
      bootstrapArgument({ controlPlaneNamespace: settings.controlPlaneNamespace, probes, delays }),
    ],
    env: [
      field('POD_NAME', 'metadata.name'),
      field('POD_NAMESPACE', 'metadata.namespace'),
      field('POD_UID', 'metadata.uid'),
      field('POD_IP', 'status.podIP'),
      field('SERVICE_ACCOUNT', 'spec.serviceAccountName'),
    ],
    ports: [
      { name: 'proxy-inbound', containerPort: INBOUND_PORT, protocol: 'TCP' },
      { name: 'proxy-metrics', containerPort: METRICS_PORT, protocol: 'TCP' },
    ],
    resources: copyJson(settings.sidecarResources ?? { requests: { cpu: '10m', memory: '64Mi' } }),
    securityContext: {
      runAsUser: SIDECAR_USER,
      runAsGroup: SIDECAR_USER,
      runAsNonRoot: true,
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
      seccompProfile: { type: 'RuntimeDefault' },
    },
    startupProbe: {
      httpGet: { path: '/ready', port: READY_PORT, scheme: 'HTTP' },
      periodSeconds: 1,
      timeoutSeconds: 1,
      // An hour: a pod that no controller answers yet waits, and is not restarted for it.
      failureThreshold: 3600,
    },
    ...(hold && { lifecycle: { preStop: hold } }),
    volumeMounts: [
      { name: TOKEN_VOLUME, mountPath: TOKEN_DIRECTORY, readOnly: true },
      { name: TRUST_VOLUME, mountPath: TRUST_DIRECTORY, readOnly: true },
    ],
  };
}

export function sidecarVolumes(): Volume[] {
  return [
    {
      name: TOKEN_VOLUME,
      projected: {
        // Readable to user 1500 in each way that the kubelet may own it: 0644, or 0640 with the pod's fsGroup, which
        // every container of the pod is a member of.
        sources: [
          { serviceAccountToken: { audience: TOKEN_AUDIENCE, expirationSeconds: TOKEN_SECONDS, path: 'token' } },
        ],
      },
    },
    { name: TRUST_VOLUME, configMap: { name: TRUST_CONFIG_MAP } },
  ];
}

/** True for a sidecar that injection made: it mounts the trust of the mesh. The guard's CEL asks the same. */
export function isOurSidecar(container: Container): boolean {
  return (
    container.name === SIDECAR_CONTAINER &&
    (container.volumeMounts ?? []).some((mount) => mount.mountPath === TRUST_DIRECTORY) &&
    probesOf(container) !== undefined
  );
}

export function isOurInit(container: Container): boolean {
  return container.name === INIT_CONTAINER && (container.args?.[0]?.includes('OSM_PROXY_INBOUND') ?? false);
}

export function isOurVolume(volume: Volume): boolean {
  switch (volume.name) {
    case TOKEN_VOLUME:
      return JSON.stringify(volume['projected'] ?? '').includes(`"audience":"${TOKEN_AUDIENCE}"`);
    case TRUST_VOLUME:
      return JSON.stringify(volume['configMap'] ?? '').includes(`"name":"${TRUST_CONFIG_MAP}"`);
    default:
      return false;
  }
}

/** What the sidecar's pod asked for before its probes were rewritten; undefined when its arguments are not ours. */
export function probesOf(sidecar: Container): ProbeTarget[] | undefined {
  const args = sidecar.args ?? [];
  const config = args[args.indexOf('--config-yaml') + 1];
  return config === undefined ? undefined : readProbes(config);
}

/** The kubelet expands `$(NAME)` in arguments; a script's own must reach the shell. */
function escapeExpansion(script: string): string {
  return script.replaceAll('$', '$$$$');
}
