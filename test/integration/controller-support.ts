/** A cluster's objects and a sidecar's side of the delta protocol, for tests of the controller on a real API server. */
import { request } from 'node:https';
import { ChannelCredentials, Client as GrpcClient, type ClientDuplexStream, Metadata } from '@grpc/grpc-js';
import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import type { Environment } from '#controller/environment.ts';
import type { Client } from '#kubernetes/client.ts';
import * as kinds from '#kubernetes/kinds.ts';
import type { KubeObject } from '#kubernetes/types.ts';
import { CLUSTER, ENDPOINTS, LISTENER, ROUTES, SECRET, type TypeUrl } from '#xds/cache/types.ts';
import { ClusterSchema } from '#xds/proto/gen/envoy/config/cluster/v3/cluster_pb.js';
import {
  type DeltaDiscoveryResponse,
  DeltaDiscoveryRequestSchema,
  DeltaDiscoveryResponseSchema,
} from '#xds/proto/gen/envoy/service/discovery/v3/discovery_pb.js';

/** What a controller's pod would read from its environment, in the namespace of the tests' control plane. */
export function controllerEnvironment(
  own: Pick<Environment, 'namespace' | 'podName' | 'tlsDirectory' | 'logLevel'>,
): Environment {
  return { ...own, meshName: 'osm', clusterDomain: 'cluster.local', vaultTokenPath: '/nonexistent' };
}

/** Applies objects of known kinds in order. */
export async function applyAll(admin: Client, objects: readonly KubeObject[]): Promise<void> {
  const byKind = new Map(Object.values(kinds).flatMap((kind) => (typeof kind === 'object' ? [[kind.kind, kind]] : [])));
  for (const object of objects) {
    const kind = byKind.get(object.kind);
    if (kind === undefined) throw new Error(`unknown kind ${object.kind}`);
    await admin.apply(kind, object, { fieldManager: 'test', force: true });
  }
}

/** The controller's account with the rights that the operator binds to it. */
export async function bindController(admin: Client, namespace: string): Promise<void> {
  const rbac = 'rbac.authorization.k8s.io';
  const name = 'osm-controller';
  const binding = (kind: string, where: object): KubeObject =>
    ({
      apiVersion: `${rbac}/v1`,
      kind: `${kind}Binding`,
      metadata: { name, ...where },
      roleRef: { apiGroup: rbac, kind, name },
      subjects: [{ kind: 'ServiceAccount', name, namespace }],
    }) as KubeObject;
  await applyAll(admin, [
    { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name, namespace } },
    binding('ClusterRole', {}),
    binding('Role', { namespace }),
  ]);
}

/** A pod with our sidecar, as the injector makes it, with an address as the kubelet would report it. */
export async function runPod(
  admin: Client,
  namespace: string,
  name: string,
  options: { account: string; ip: string },
): Promise<string> {
  const image = 'none';
  await applyAll(admin, [
    { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: options.account, namespace } },
    {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name, namespace, labels: { app: options.account } },
      spec: {
        serviceAccountName: options.account,
        initContainers: [
          { name: 'osm-init', image },
          { name: 'envoy', image, restartPolicy: 'Always' },
        ],
        containers: [{ name: 'app', image, ports: [{ containerPort: 8080 }] }],
      },
    },
  ]);
  const stored = await admin.request<KubeObject>(
    'PATCH',
    `/api/v1/namespaces/${namespace}/pods/${name}/status`,
    {
      status: { phase: 'Running', podIP: options.ip, podIPs: [{ ip: options.ip }] },
    },
    { 'content-type': 'application/strategic-merge-patch+json' },
  );
  return stored.metadata.uid ?? '';
}

/** A token of the TokenRequest API, bound to a pod. */
export async function podToken(
  admin: Client,
  namespace: string,
  pod: { name: string; uid: string; account: string },
  audience = 'osm',
) {
  const answer = await admin.request<{ status: { token: string } }>(
    'POST',
    `/api/v1/namespaces/${namespace}/serviceaccounts/${pod.account}/token`,
    {
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenRequest',
      spec: {
        audiences: [audience],
        expirationSeconds: 3600,
        boundObjectRef: { apiVersion: 'v1', kind: 'Pod', name: pod.name, uid: pod.uid },
      },
    },
  );
  return answer.status.token;
}

/** A service whose one endpoint is a pod. */
export function service(namespace: string, name: string, pod: { name: string; ip: string }): KubeObject[] {
  return [
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name, namespace },
      spec: { selector: { app: name }, ports: [{ name: 'http', port: 80, targetPort: 8080 }] },
    },
    {
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: { name: `${name}-1`, namespace, labels: { 'kubernetes.io/service-name': name } },
      addressType: 'IPv4',
      ports: [{ name: 'http', port: 8080, protocol: 'TCP' }],
      endpoints: [
        {
          addresses: [pod.ip],
          conditions: { ready: true },
          targetRef: { kind: 'Pod', name: pod.name, namespace },
        },
      ],
    } as KubeObject,
  ];
}

/** A token of an account that may read the controller's API. */
export async function viewerToken(admin: Client, namespace: string): Promise<string> {
  await applyAll(admin, [
    { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'viewer', namespace } },
    {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'Role',
      metadata: { name: 'osm-viewer', namespace },
      rules: [
        {
          apiGroups: ['config.openservicemesh.io'],
          resources: ['meshconfigs/problems', 'meshconfigs/proxies', 'meshconfigs/debug'],
          verbs: ['get'],
        },
      ],
    } as KubeObject,
    {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'RoleBinding',
      metadata: { name: 'osm-viewer', namespace },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'osm-viewer' },
      subjects: [{ kind: 'ServiceAccount', name: 'viewer', namespace }],
    } as KubeObject,
  ]);
  const path = `/api/v1/namespaces/${namespace}/serviceaccounts/viewer/token`;
  const answer = await admin.request<{ status: { token: string } }>('POST', path, {
    apiVersion: 'authentication.k8s.io/v1',
    kind: 'TokenRequest',
    spec: { expirationSeconds: 3600 },
  });
  return answer.status.token;
}

/** GET on the controller's API. */
export function callApi(
  port: number,
  path: string,
  token: string | undefined,
): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
    const call = request({ host: '127.0.0.1', port, path, headers, rejectUnauthorized: false }, (answer) => {
      let body = '';
      answer.setEncoding('utf8').on('data', (text: string) => {
        body += text;
      });
      answer.on('end', () => resolve({ status: answer.statusCode ?? 0, body }));
    });
    call.once('error', reject);
    call.end();
  });
}

/** What a sidecar refuses, and in which words. */
export interface Refusal {
  readonly type: TypeUrl;
  readonly words: string;
}

/** A sidecar that asks as Envoy does (EDS by its clusters' names, SDS for its two secrets) and accepts all but what it is told to refuse. */
export class SimulatedSidecar {
  readonly held = new Map<TypeUrl, Map<string, { version: string; bytes: Uint8Array }>>();
  readonly received: string[] = [];
  /** Names that it was told not to exist, in the order of the answers. */
  readonly removed: string[] = [];
  /** Types that it takes and does not acknowledge for now. */
  readonly silentOn = new Set<TypeUrl>();
  readonly #unanswered: (() => void)[] = [];
  ended: string | undefined;
  readonly #client: GrpcClient;
  readonly #call: ClientDuplexStream<Buffer, Buffer>;

  readonly #refuse: Refusal | undefined;

  constructor(options: { port: number; rootsPem: string; token: string; node: string; refuse?: Refusal }) {
    this.#refuse = options.refuse;
    this.#client = new GrpcClient(
      `127.0.0.1:${options.port}`,
      ChannelCredentials.createSsl(Buffer.from(options.rootsPem)),
      {
        'grpc.ssl_target_name_override': 'osm-controller.osm-system.svc',
        'grpc.use_local_subchannel_pool': 1,
      },
    );
    const metadata = new Metadata();
    metadata.set('authorization', options.token);
    const same = (bytes: Buffer): Buffer => bytes;
    const path = '/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources';
    this.#call = this.#client.makeBidiStreamRequest(path, same, same, metadata);
    this.#call.on('data', (bytes: Buffer) => this.#take(fromBinary(DeltaDiscoveryResponseSchema, bytes)));
    this.#call.on('error', (error: Error) => {
      this.ended ??= error.message;
    });
    this.#call.on('end', () => {
      this.ended ??= 'ended';
    });
    this.#send(CLUSTER, { node: { id: options.node } });
    this.#send(LISTENER, {});
    this.#send(SECRET, { resourceNamesSubscribe: ['workload', 'roots'] });
  }

  names(type: TypeUrl): string[] {
    return [...(this.held.get(type)?.keys() ?? [])].toSorted();
  }

  /** Asks for what no Envoy would. */
  ask(type: TypeUrl, names: readonly string[]): void {
    this.#send(type, { resourceNamesSubscribe: [...names] });
  }

  /** Acknowledges what it did not, and all that comes. */
  speak(): void {
    this.silentOn.clear();
    for (const acknowledge of this.#unanswered.splice(0)) acknowledge();
  }

  close(): void {
    this.#call.cancel();
    this.#client.close();
  }

  #send(typeUrl: TypeUrl, fields: MessageInitShape<typeof DeltaDiscoveryRequestSchema>): void {
    const message = create(DeltaDiscoveryRequestSchema, { ...fields, typeUrl });
    this.#call.write(Buffer.from(toBinary(DeltaDiscoveryRequestSchema, message)));
  }

  #take(response: DeltaDiscoveryResponse): void {
    const type = response.typeUrl as TypeUrl;
    if (this.#refuse?.type === type) {
      const errorDetail = { code: 13, message: this.#refuse.words };
      return this.#send(type, { responseNonce: response.nonce, errorDetail });
    }
    const held = this.held.get(type) ?? new Map<string, { version: string; bytes: Uint8Array }>();
    this.held.set(type, held);
    const before = new Set(held.keys());
    for (const { name, version, resource } of response.resources) {
      held.set(name, { version, bytes: resource?.value ?? new Uint8Array() });
    }
    for (const name of response.removedResources) held.delete(name);
    this.removed.push(...response.removedResources);
    this.received.push(
      `${type.slice(type.lastIndexOf('.') + 1)} ${response.resources.map(({ name }) => name).join(',')}`,
    );
    const acknowledge = (): void => this.#send(type, { responseNonce: response.nonce });
    if (this.silentOn.has(type)) this.#unanswered.push(acknowledge);
    else acknowledge();
    const added = [...held.keys()].filter((name) => !before.has(name));
    if (type === CLUSTER) {
      const eds = added.filter((name) => {
        const cluster = fromBinary(ClusterSchema, held.get(name)?.bytes ?? new Uint8Array());
        return cluster.edsClusterConfig !== undefined;
      });
      if (eds.length > 0) this.#send(ENDPOINTS, { resourceNamesSubscribe: eds });
    }
    if (type === LISTENER && added.includes('outbound'))
      this.#send(ROUTES, { resourceNamesSubscribe: ['outbound.80'] });
  }
}
