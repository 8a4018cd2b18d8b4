/** A Deployment of ours, under the Pod Security level `restricted`, that spreads, rolls without a gap and is probed on 9091. */
import { Construct } from 'constructs';
import { add } from './manifest.ts';
import { ports } from './names.ts';

/** A container environment variable: a value, or a field of the pod. */
export type EnvVar =
  | { readonly name: string; readonly value: string }
  | { readonly name: string; readonly valueFrom: { readonly fieldRef: { readonly fieldPath: string } } };

/** What a user may set of a component; Kubernetes' own shapes, passed through as they are. */
export interface Placement {
  readonly resources?: object | undefined;
  readonly nodeSelector?: Readonly<Record<string, string>> | undefined;
  readonly tolerations?: readonly object[] | undefined;
  readonly affinity?: object | undefined;
}

/** A token of one hour for one audience, as the file `token` in a directory. */
export interface ProjectedToken {
  readonly audience: string;
  readonly directory: string;
}

export interface WorkloadProps extends Placement {
  /** Name of Deployment, ServiceAccount and container, and the value of the label `app`. */
  readonly name: string;
  readonly namespace: string;
  readonly replicas: number;
  readonly image: string;
  readonly imagePullPolicy: string;
  readonly imagePullSecrets?: readonly { readonly name: string }[] | undefined;
  readonly command: readonly string[];
  readonly env: readonly EnvVar[];
  /** Container ports by name, beside `health`. */
  readonly ports?: Readonly<Record<string, number>>;
  /** Secret mounted at `OSM_TLS_DIR`. */
  readonly tlsSecret?: string;
  /** Tokens of the pod's own account, beside the one for the API server. */
  readonly tokens?: readonly ProjectedToken[];
  /** Labels of the pods beside `app`. */
  readonly podLabels: Readonly<Record<string, string>>;
  /** Annotations of the pods; a change rolls them. */
  readonly podAnnotations?: Readonly<Record<string, string>>;
  /** Seconds between SIGTERM and SIGKILL, the sleep included. */
  readonly terminationGraceSeconds: number;
  /** Seconds that the pod goes on serving after its endpoint is withdrawn: the API server and peers hear of it later. */
  readonly preStopSeconds?: number;
}

/** User and group of our image. */
const imageUser = 65532;
export const tlsDirectory = '/var/run/osm/tls';
const defaultResources = { requests: { cpu: '50m', memory: '96Mi' } };

/** Deployment, and a PodDisruptionBudget where there is more than one replica. The label `app` alone selects: selectors cannot change. */
export class Workload extends Construct {
  constructor(scope: Construct, props: WorkloadProps) {
    super(scope, props.name);
    const { name, namespace, replicas } = props;
    const selector = { matchLabels: { app: name } };
    add(this, {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name, namespace, labels: { app: name } },
      spec: {
        replicas,
        selector,
        revisionHistoryLimit: 3,
        // A replica leaves only when its successor is ready: admission and configuration have no gap.
        strategy: { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: 0, maxSurge: 1 } },
        template: {
          metadata: {
            labels: { ...props.podLabels, app: name },
            annotations: { ...props.podAnnotations, 'kubectl.kubernetes.io/default-container': name },
          },
          spec: podSpec(props),
        },
      },
    });
    if (replicas > 1) {
      add(this, {
        apiVersion: 'policy/v1',
        kind: 'PodDisruptionBudget',
        metadata: { name, namespace },
        // AlwaysAllow: a replica that is not ready protects nobody and must not block a node's drain.
        spec: { minAvailable: 1, selector, unhealthyPodEvictionPolicy: 'AlwaysAllow' },
      });
    }
  }
}

function podSpec(props: WorkloadProps): object {
  const { name, tlsSecret } = props;
  return {
    serviceAccountName: name,
    priorityClassName: 'system-cluster-critical',
    terminationGracePeriodSeconds: props.terminationGraceSeconds,
    securityContext: {
      runAsNonRoot: true,
      runAsUser: imageUser,
      runAsGroup: imageUser,
      // The Secret's files belong to root; the group lets the process read them.
      fsGroup: imageUser,
      seccompProfile: { type: 'RuntimeDefault' },
    },
    ...(props.imagePullSecrets?.length ? { imagePullSecrets: props.imagePullSecrets } : {}),
    nodeSelector: { 'kubernetes.io/os': 'linux', ...props.nodeSelector },
    ...(props.tolerations?.length ? { tolerations: props.tolerations } : {}),
    affinity: props.affinity ?? preferOtherNodes(name),
    topologySpreadConstraints: [
      {
        maxSkew: 1,
        topologyKey: 'topology.kubernetes.io/zone',
        whenUnsatisfiable: 'ScheduleAnyway',
        labelSelector: { matchLabels: { app: name } },
      },
    ],
    containers: [container(props)],
    ...listed('volumes', [
      ...(tlsSecret === undefined ? [] : [{ name: 'tls', secret: { secretName: tlsSecret } }]),
      ...(props.tokens ?? []).map(({ audience }) => ({
        name: tokenVolume(audience),
        projected: { sources: [{ serviceAccountToken: { audience, expirationSeconds: 3600, path: 'token' } }] },
      })),
    ]),
  };
}

function container(props: WorkloadProps): object {
  const probe = (path: string): object => ({ httpGet: { path, port: 'health' } });
  return {
    name: props.name,
    image: props.image,
    imagePullPolicy: props.imagePullPolicy,
    command: props.command,
    env: props.env,
    ports: Object.entries({ ...props.ports, health: ports.health }).map(([portName, containerPort]) => ({
      name: portName,
      containerPort,
      protocol: 'TCP',
    })),
    // A mesh's stores may take long to fill at first; after that a stop of a few seconds is an error.
    startupProbe: { ...probe('/health/alive'), periodSeconds: 1, failureThreshold: 120 },
    readinessProbe: { ...probe('/health/ready'), periodSeconds: 2, timeoutSeconds: 2, failureThreshold: 2 },
    livenessProbe: { ...probe('/health/alive'), periodSeconds: 10, timeoutSeconds: 5, failureThreshold: 6 },
    ...(props.preStopSeconds === undefined
      ? {}
      : { lifecycle: { preStop: { sleep: { seconds: props.preStopSeconds } } } }),
    resources: props.resources ?? defaultResources,
    securityContext: {
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      runAsNonRoot: true,
      capabilities: { drop: ['ALL'] },
      seccompProfile: { type: 'RuntimeDefault' },
    },
    ...listed('volumeMounts', [
      ...(props.tlsSecret === undefined ? [] : [{ name: 'tls', mountPath: tlsDirectory, readOnly: true }]),
      ...(props.tokens ?? []).map(({ audience, directory }) => ({
        name: tokenVolume(audience),
        mountPath: directory,
        readOnly: true,
      })),
    ]),
  };
}

function tokenVolume(audience: string): string {
  return `${audience}-token`;
}

/** A field that is left out where its list is empty. */
function listed(field: string, items: readonly object[]): object {
  return items.length === 0 ? {} : { [field]: items };
}

/** Preferred, not required: a cluster of one node must hold both replicas. */
function preferOtherNodes(name: string): object {
  return {
    podAntiAffinity: {
      preferredDuringSchedulingIgnoredDuringExecution: [
        {
          weight: 100,
          podAffinityTerm: {
            topologyKey: 'kubernetes.io/hostname',
            labelSelector: { matchLabels: { app: name } },
          },
        },
      ],
    },
  };
}

/** Which pod and namespace a process runs in. */
export function downwardEnv(): EnvVar[] {
  return [
    { name: 'OSM_NAMESPACE', valueFrom: { fieldRef: { fieldPath: 'metadata.namespace' } } },
    { name: 'OSM_POD_NAME', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } },
  ];
}
