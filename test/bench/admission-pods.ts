/** Pods as users write them: what the injector is measured with. */
import type { KubeObject } from '#kubernetes/types.ts';
import type { PodSpec } from '#webhook/inject/pod.ts';

const resources = { requests: { cpu: '100m', memory: '128Mi' }, limits: { memory: '256Mi' } };
const fromField = (name: string, fieldPath: string) => ({ name, valueFrom: { fieldRef: { fieldPath } } });

/** A web server with three HTTP probes, a configuration and twenty variables. */
const web: PodSpec = {
  serviceAccountName: 'default',
  terminationGracePeriodSeconds: 30,
  volumes: [
    { name: 'config', configMap: { name: 'web-config' } },
    { name: 'cache', emptyDir: {} },
  ],
  containers: [
    {
      name: 'web',
      image: 'registry.example/shop/web:1.2.3',
      ports: [
        { name: 'http', containerPort: 8080 },
        { name: 'metrics', containerPort: 9102 },
      ],
      env: [
        fromField('POD_IP', 'status.podIP'),
        ...Array.from({ length: 20 }, (_, index) => ({
          name: `SHOP_SETTING_${index}`,
          value: `value of setting ${index}`,
        })),
      ],
      resources,
      livenessProbe: { httpGet: { path: '/live', port: 'http' }, periodSeconds: 10 },
      readinessProbe: { httpGet: { path: '/ready', port: 'http' }, periodSeconds: 5 },
      startupProbe: { httpGet: { path: '/ready', port: 'http' }, failureThreshold: 30 },
      volumeMounts: [
        { name: 'config', mountPath: '/etc/web' },
        { name: 'cache', mountPath: '/var/cache/web' },
      ],
    },
  ],
};

/** Two programs and a migration before them; a gRPC and a TCP probe, and a hook. */
const backend: PodSpec = {
  serviceAccountName: 'default',
  volumes: [{ name: 'data', emptyDir: {} }],
  initContainers: [{ name: 'migrate', image: 'registry.example/shop/migrate:7', args: ['up'], resources }],
  containers: [
    {
      name: 'backend',
      image: 'registry.example/shop/backend:7',
      args: ['--listen=:50051', '--database=orders.shop.svc:3306'],
      ports: [{ name: 'grpc', containerPort: 50051 }],
      resources,
      livenessProbe: { grpc: { port: 50051 } },
      readinessProbe: { grpc: { port: 50051, service: 'ready' } },
      lifecycle: { preStop: { httpGet: { path: '/drain', port: 9000 } } },
      volumeMounts: [{ name: 'data', mountPath: '/data' }],
    },
    {
      name: 'exporter',
      image: 'registry.example/tools/exporter:2',
      ports: [{ name: 'metrics', containerPort: 9000 }],
      resources,
      livenessProbe: { tcpSocket: { port: 'metrics' } },
    },
  ],
};

/** What a CronJob makes: no port, no probe. */
const job: PodSpec = {
  serviceAccountName: 'default',
  containers: [
    { name: 'report', image: 'registry.example/shop/report:3', command: ['/report'], args: ['--day', 'yesterday'] },
  ],
};

const kinds = { web, backend, job };

/** One of each kind, as a ReplicaSet or Job would post it. `name` keeps them apart. */
export function benchPods(namespace: string, name: string): KubeObject[] {
  return Object.entries(kinds).map(([app, spec]) => ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name: `${app}-${name}`,
      namespace,
      labels: { app, 'app.kubernetes.io/part-of': 'shop', 'pod-template-hash': '6d4cf56db6' },
      annotations: { 'checksum/config': '0b1c6d9f0c9b8d7e6f5a4b3c2d1e0f9a' },
    },
    spec,
  }));
}

/** The review that the API server posts for a pod which it has completed with its defaults. */
export function reviewOf(pod: KubeObject): string {
  return JSON.stringify({
    kind: 'AdmissionReview',
    apiVersion: 'admission.k8s.io/v1',
    request: {
      uid: '705ab4f5-6393-11e8-b7cc-42010a800002',
      kind: { group: '', version: 'v1', kind: 'Pod' },
      resource: { group: '', version: 'v1', resource: 'pods' },
      requestKind: { group: '', version: 'v1', kind: 'Pod' },
      requestResource: { group: '', version: 'v1', resource: 'pods' },
      name: pod.metadata.name,
      namespace: pod.metadata.namespace,
      operation: 'CREATE',
      userInfo: {
        username: 'system:serviceaccount:kube-system:replicaset-controller',
        uid: 'a7e0ab33-5f29-11e8-8a3c-36e6bb280816',
        groups: ['system:serviceaccounts', 'system:serviceaccounts:kube-system', 'system:authenticated'],
      },
      object: pod,
      oldObject: null,
      dryRun: false,
      options: { kind: 'CreateOptions', apiVersion: 'meta.k8s.io/v1' },
    },
  });
}
