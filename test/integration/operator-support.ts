/** What the operator's tests on a real API server share: the installation, and a client with the operator's own rights. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse, parseAllDocuments, stringify } from 'yaml';
import { renderInstall } from '#cdk8s/install.ts';
import { type Client, createClient } from '#kubernetes/client.ts';
import * as kinds from '#kubernetes/kinds.ts';
import type { Kind, KubeObject } from '#kubernetes/types.ts';
import type { ApiServer } from '#test/support/apiserver.ts';
import { eventually } from '#test/support/eventually.ts';

export const namespace = 'osm-system';

const kindByName = new Map(
  Object.values(kinds).flatMap((value) => (typeof value === 'object' ? [[value.kind, value]] : [])) as [string, Kind][],
);

/** The objects of `deploy/install.yaml`, as a user's kubectl would read them. */
export function installation(): KubeObject[] {
  return parseAllDocuments(renderInstall()).map((document) => document.toJS() as KubeObject);
}

/** Applies every object of the installation as an administrator; returns what the server stored. */
export async function install(admin: Client): Promise<KubeObject[]> {
  const stored: KubeObject[] = [];
  for (const object of installation()) {
    const kind = kindByName.get(object.kind);
    if (kind === undefined) throw new Error(`install.yaml holds a ${object.kind}, which kinds.ts does not know`);
    stored.push(await admin.apply(kind, object, { fieldManager: 'test-kubectl' }));
  }
  await eventually('the MeshConfig API is served', async () => {
    await admin.list(kinds.MeshConfigs, { namespace });
    return true;
  });
  return stored;
}

/**
 * A client that is a service account, by a token of the TokenRequest API: it has that account's rights and no others.
 * `now` is the clock by which the client measures how long it is refused.
 */
export async function clientAs(server: ApiServer, admin: Client, account: string, now?: () => number): Promise<Client> {
  const answer = await admin.request<{ status: { token: string } }>(
    'POST',
    `/api/v1/namespaces/${namespace}/serviceaccounts/${account}/token`,
    { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: { expirationSeconds: 3600 } },
  );
  const config = parse(await readFile(server.kubeconfigPath, 'utf8')) as {
    users: { name: string; user: object }[];
  };
  for (const user of config.users) user.user = { token: answer.status.token };
  const directory = await mkdtemp(join(tmpdir(), 'osm-operator-test-'));
  try {
    const path = join(directory, 'kubeconfig');
    await writeFile(path, stringify(config), { mode: 0o600 });
    return createClient({ kubeconfig: path, ...(now === undefined ? {} : { now }) });
  } finally {
    await rm(directory, { recursive: true });
  }
}

/** Plays the Deployment controller, which this test has not: marks a Deployment's newest version as rolled out. */
export async function markAvailable(admin: Client, name: string): Promise<void> {
  const deployment = await admin.get<KubeObject & { spec: { replicas: number } }>(kinds.Deployments, name, namespace);
  if (deployment === undefined) throw new Error(`there is no Deployment ${name}`);
  const { replicas } = deployment.spec;
  const time = new Date().toISOString();
  await admin.request('PUT', `/apis/apps/v1/namespaces/${namespace}/deployments/${name}/status`, {
    ...deployment,
    status: {
      observedGeneration: deployment.metadata.generation,
      replicas,
      updatedReplicas: replicas,
      readyReplicas: replicas,
      availableReplicas: replicas,
      conditions: [
        {
          type: 'Available',
          status: 'True',
          reason: 'MinimumReplicasAvailable',
          message: '',
          lastTransitionTime: time,
          lastUpdateTime: time,
        },
        {
          type: 'Progressing',
          status: 'True',
          reason: 'NewReplicaSetAvailable',
          message: '',
          lastTransitionTime: time,
          lastUpdateTime: time,
        },
      ],
    },
  });
}

export function meshConfig(spec: object = {}): KubeObject {
  return {
    apiVersion: 'config.openservicemesh.io/v1alpha2',
    kind: 'MeshConfig',
    metadata: { name: 'osm-mesh-config', namespace },
    spec,
  };
}
