/**
 * The parts of a pod and of its namespace that injection reads or writes, as the API server sends them. Other fields
 * ride along untouched: everything here is JSON, and no client's model stands between (models drop what they do not know).
 */

export interface Metadata {
  name?: string;
  generateName?: string;
  namespace?: string;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
}

export interface Namespace {
  metadata: { name: string; labels?: Record<string, string>; annotations?: Record<string, string> };
}

export interface Pod {
  apiVersion?: string;
  kind?: string;
  metadata: Metadata;
  spec: PodSpec;
}

export interface PodSpec {
  containers: Container[];
  initContainers?: Container[];
  ephemeralContainers?: Container[];
  volumes?: Volume[];
  serviceAccountName?: string;
  hostNetwork?: boolean;
  nodeSelector?: Record<string, string>;
  os?: { name: string };
  securityContext?: SecurityContext;
  terminationGracePeriodSeconds?: number;
}

export interface Volume {
  name: string;
  [source: string]: unknown;
}

export interface Container {
  name: string;
  image?: string;
  imagePullPolicy?: string;
  command?: string[];
  args?: string[];
  env?: { name: string; value?: string; valueFrom?: unknown }[];
  ports?: { name?: string; containerPort: number; protocol?: string }[];
  resources?: Resources;
  restartPolicy?: string;
  securityContext?: SecurityContext;
  volumeMounts?: { name: string; mountPath: string; readOnly?: boolean }[];
  livenessProbe?: Probe;
  readinessProbe?: Probe;
  startupProbe?: Probe;
  lifecycle?: { postStart?: LifecycleHandler; preStop?: LifecycleHandler };
}

export interface Resources {
  requests?: Record<string, string | number>;
  limits?: Record<string, string | number>;
}

export interface SecurityContext {
  runAsUser?: number;
  runAsGroup?: number;
  runAsNonRoot?: boolean;
  allowPrivilegeEscalation?: boolean;
  readOnlyRootFilesystem?: boolean;
  privileged?: boolean;
  capabilities?: { add?: string[]; drop?: string[] };
  seccompProfile?: { type: string };
}

export interface HttpGet {
  path?: string;
  port: number | string;
  host?: string;
  scheme?: string;
  httpHeaders?: { name: string; value: string }[];
}

/** What the kubelet does to learn of a container's health; one of the four is set. */
export interface Handler {
  httpGet?: HttpGet;
  tcpSocket?: { port: number | string; host?: string };
  grpc?: { port: number; service?: string };
  exec?: unknown;
}

export interface Probe extends Handler {
  timeoutSeconds?: number;
  periodSeconds?: number;
  failureThreshold?: number;
  successThreshold?: number;
}

export interface LifecycleHandler extends Handler {
  sleep?: { seconds: number };
}

/** Containers that run while the application does: the ordinary ones and restartable init containers. */
export function runningContainers(spec: PodSpec): Container[] {
  return [...(spec.initContainers ?? []).filter((one) => one.restartPolicy === 'Always'), ...spec.containers];
}

export function allContainers(spec: PodSpec): Container[] {
  return [...(spec.initContainers ?? []), ...spec.containers];
}
