/** The cluster that the push benchmark runs against: services, their pods on nodes in two zones, and the pods' tokens. */
import { createPrivateKey } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { type JSONWebKeySet, SignJWT } from 'jose';
import { MeshConfigs, Namespaces, Nodes, Pods, ServiceAccounts, Services, EndpointSlices } from '#kubernetes/kinds.ts';
import type { KubeObject, KubernetesClient } from '#kubernetes/types.ts';
import { podToken } from '#test/integration/controller-support.ts';
import type { ApiServer } from '#test/support/apiserver.ts';

export interface BenchPod {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly service: string;
  readonly accountUid: string;
  readonly ip: string;
  readonly zone: string;
}

export interface MeshSize {
  readonly namespaces: number;
  readonly services: number;
  readonly podsEach: number;
}

const CONTROL_PLANE = 'osm-system';

export const namespaceOf = (index: number, size: MeshSize): string => `bench-${index % size.namespaces}`;
export const serviceName = (index: number): string => `svc-${index}`;

/** Sixteen requests at a time: as fast as the API server takes them without queueing them. */
export async function inParallel<T, R>(
  items: readonly T[],
  work: (item: T, index: number) => Promise<R>,
): Promise<R[]> {
  const results: R[] = [];
  let next = 0;
  const lane = async (): Promise<void> => {
    for (let index = next++; index < items.length; index = next++)
      results[index] = await work(items[index] as T, index);
  };
  await Promise.all(Array.from({ length: 16 }, lane));
  return results;
}

/** The services with their pods and slices. */
export async function buildMesh(admin: KubernetesClient, size: MeshSize): Promise<BenchPod[]> {
  const pods = await buildPods(admin, size);
  const services = Array.from({ length: size.services }, (_, index) => index);
  await inParallel(services, async (index) => {
    const metadata = { name: serviceName(index), namespace: namespaceOf(index, size) };
    const ports = [{ name: 'http', port: 80, targetPort: 8080 }];
    await admin.create(Services, {
      apiVersion: 'v1',
      kind: 'Service',
      metadata,
      spec: { selector: { app: serviceName(index) }, ports },
    });
    await writeSlice(admin, pods.slice(index * size.podsEach, (index + 1) * size.podsEach), true);
  });
  return pods;
}

/** The pods alone, with a namespace, a node and an account for each of their services. */
export async function buildPods(admin: KubernetesClient, size: MeshSize): Promise<BenchPod[]> {
  const names = Array.from({ length: size.namespaces }, (_, index) => namespaceOf(index, size));
  for (const name of names) {
    const labels = { 'openservicemesh.io/monitored-by': 'osm' };
    await admin.create(Namespaces, { apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } });
  }
  for (const zone of ['a', 'b']) {
    const labels = { 'topology.kubernetes.io/zone': zone };
    await admin.create(Nodes, { apiVersion: 'v1', kind: 'Node', metadata: { name: `node-${zone}`, labels } });
  }
  const services = Array.from({ length: size.services }, (_, index) => index);
  const accounts = await inParallel(services, async (index) => {
    const namespace = namespaceOf(index, size);
    const metadata = { name: serviceName(index), namespace };
    const account = await admin.create<KubeObject>(ServiceAccounts, {
      apiVersion: 'v1',
      kind: 'ServiceAccount',
      metadata,
    });
    return account.metadata.uid ?? '';
  });
  const wanted = services.flatMap((index) => Array.from({ length: size.podsEach }, (_, copy) => ({ index, copy })));
  return inParallel(wanted, ({ index, copy }, at) =>
    runPod(admin, {
      namespace: namespaceOf(index, size),
      service: serviceName(index),
      name: `${serviceName(index)}-${copy}`,
      accountUid: accounts[index] ?? '',
      ip: `10.${64 + (at >> 16)}.${(at >> 8) & 255}.${at & 255}`,
      zone: copy % 2 === 0 ? 'a' : 'b',
    }),
  );
}

/** A pod as the injector and a kubelet would leave it. */
async function runPod(admin: KubernetesClient, wanted: Omit<BenchPod, 'uid'>): Promise<BenchPod> {
  const { namespace, name, service, ip, zone } = wanted;
  const image = 'none';
  const created = await admin.create<KubeObject>(Pods, {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace, labels: { app: service } },
    spec: {
      nodeName: `node-${zone}`,
      serviceAccountName: service,
      initContainers: [
        { name: 'osm-init', image },
        { name: 'envoy', image, restartPolicy: 'Always' },
      ],
      containers: [{ name: 'app', image, ports: [{ containerPort: 8080 }] }],
    },
  });
  await admin.request(
    'PATCH',
    `/api/v1/namespaces/${namespace}/pods/${name}/status`,
    { status: { phase: 'Running', podIP: ip, podIPs: [{ ip }] } },
    { 'content-type': 'application/strategic-merge-patch+json' },
  );
  return { ...wanted, uid: created.metadata.uid ?? '' };
}

/** The slice of the service of these pods; `firstReady` says whether its first pod takes calls. */
export async function writeSlice(
  admin: KubernetesClient,
  pods: readonly BenchPod[],
  firstReady: boolean,
): Promise<void> {
  const [first] = pods;
  if (first === undefined) throw new Error('a service without pods has no slice');
  const slice = {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: {
      name: `${first.service}-1`,
      namespace: first.namespace,
      labels: { 'kubernetes.io/service-name': first.service },
    },
    addressType: 'IPv4',
    ports: [{ name: 'http', port: 8080, protocol: 'TCP' }],
    endpoints: pods.map((pod) => ({
      addresses: [pod.ip],
      conditions: { ready: pod !== first || firstReady },
      zone: pod.zone,
      targetRef: { kind: 'Pod', name: pod.name, namespace: pod.namespace },
    })),
  };
  await admin.apply(EndpointSlices, slice as KubeObject, { fieldManager: 'bench', force: true });
}

export async function writeMeshConfig(admin: KubernetesClient, permissive: boolean): Promise<void> {
  await admin.apply(
    MeshConfigs,
    {
      apiVersion: 'config.openservicemesh.io/v1alpha2',
      kind: 'MeshConfig',
      metadata: { name: 'osm-mesh-config', namespace: CONTROL_PLANE },
      spec: { traffic: { enablePermissiveTrafficPolicyMode: permissive } },
    },
    { fieldManager: 'bench', force: true },
  );
}

/** Tokens of the pods: the first `requested` by the TokenRequest API, the others signed alike with the API server's own key. */
export async function tokensOf(
  server: ApiServer,
  admin: Parameters<typeof podToken>[0],
  pods: readonly BenchPod[],
  requested: number,
): Promise<string[]> {
  const { keys } = await admin.request<JSONWebKeySet>('GET', '/openid/v1/jwks');
  const kid = keys[0]?.kid;
  if (kid === undefined) throw new Error('the API server publishes no key');
  const key = createPrivateKey(await readFile(server.serviceAccountKeyPath, 'utf8'));
  const now = Math.floor(Date.now() / 1000);
  return inParallel(pods, (pod, index) => {
    if (index < requested) return podToken(admin, pod.namespace, { ...pod, account: pod.service });
    return new SignJWT({
      'kubernetes.io': {
        namespace: pod.namespace,
        pod: { name: pod.name, uid: pod.uid },
        serviceaccount: { name: pod.service, uid: pod.accountUid },
      },
    })
      .setProtectedHeader({ alg: 'ES256', kid })
      .setIssuer(server.serviceAccountIssuer)
      .setSubject(`system:serviceaccount:${pod.namespace}:${pod.service}`)
      .setAudience('osm')
      .setIssuedAt(now - 10)
      .setNotBefore(now - 10)
      .setExpirationTime(now + 3600)
      .sign(key);
  });
}
