/** The CRDs on a real API server: they are established and structural, take what they should, and refuse the rest. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { parseAllDocuments } from 'yaml';
import { badManifests } from '../unit/crds/bad-manifests.ts';
import { borderSpecs } from '../unit/crds/border-manifests.ts';
import { allCrds } from '#crds/manifests.ts';
import { kinds } from '#crds/kinds.ts';
import { createClient, type Client } from '#kubernetes/client.ts';
import { CustomResourceDefinitions } from '#kubernetes/kinds.ts';
import { startApiServer, type ApiServer } from '#test/support/apiserver.ts';
import { eventually } from '#test/support/eventually.ts';

interface Manifest {
  apiVersion: string;
  kind: string;
  metadata: { name: string; namespace?: string };
  spec?: unknown;
  status?: unknown;
}

interface Condition {
  type: string;
  status: string;
  reason: string;
  message: string;
}

const examples = new URL('../../crds/examples/', import.meta.url);

function manifests(folder: URL): { file: string; manifest: Manifest }[] {
  return readdirSync(folder)
    .filter((file) => file.endsWith('.yaml'))
    .flatMap((file) =>
      parseAllDocuments(readFileSync(new URL(file, folder), 'utf8')).map((document) => ({
        file,
        manifest: document.toJS() as Manifest,
      })),
    );
}

/** Where objects of the manifest's kind and version are created. */
function collection({ apiVersion, kind }: Manifest): string {
  const definition = kinds.find((candidate) => candidate.kind === kind);
  assert.ok(definition, `no kind ${kind}`);
  return `/apis/${apiVersion}/namespaces/default/${definition.plural}`;
}

describe('crds on a real API server', function () {
  this.timeout(90_000);
  let server: ApiServer;
  let client: Client;

  /** A dry run, in which unknown fields are errors, as they are for `kubectl apply`. */
  function offer(manifest: Manifest): Promise<Manifest> {
    const object = { ...manifest, metadata: { ...manifest.metadata, namespace: 'default' } };
    return client.request('POST', `${collection(manifest)}?dryRun=All&fieldValidation=Strict`, object);
  }

  before(async () => {
    server = await startApiServer();
    client = createClient(server.clientOptions);
    for (const crd of allCrds()) {
      await client.request('POST', '/apis/apiextensions.k8s.io/v1/customresourcedefinitions', crd);
    }
    await eventually('all CRDs established', async () => {
      const { items } = await client.list(CustomResourceDefinitions);
      return items.length === kinds.length && items.every((crd) => conditionsOf(crd).some(isTrue('Established')));
    });
    // Established is said a moment before each version is served.
    for (const definition of kinds) {
      for (const version of definition.versions) {
        const path = `/apis/${definition.group}/${version.name}/${definition.plural}`;
        await eventually(`${path} is served`, async () => (await client.request<object>('GET', path)) !== undefined);
      }
    }
  });

  after(async () => {
    client?.close();
    await server?.stop();
  });

  it('are structural, and their names are theirs', async () => {
    const { items } = await client.list(CustomResourceDefinitions);
    const complaints = items.flatMap((crd) =>
      conditionsOf(crd)
        .filter((condition) => condition.type !== 'Established' && !isTrue('NamesAccepted')(condition))
        .map((condition) => `${crd.metadata.name}: ${condition.type}: ${condition.message}`),
    );
    assert.deepEqual(complaints, []);
  });

  for (const folder of ['', 'osm-1.2/']) {
    for (const { file, manifest } of manifests(new URL(folder, examples))) {
      it(`take ${folder}${file} (${manifest.metadata.name})`, async () => {
        const taken = await offer(manifest);
        assert.equal(taken.kind, manifest.kind);
        assertContains(taken.spec, manifest.spec ?? {}, 'spec');
      });
    }
  }

  it('take a MeshConfig without a spec, and fill in the defaults', async () => {
    const taken = await offer({
      apiVersion: 'config.openservicemesh.io/v1alpha2',
      kind: 'MeshConfig',
      metadata: { name: 'osm-mesh-config' },
    });
    assertContains(
      taken.spec,
      {
        meshName: 'osm',
        controlPlane: { injector: { replicas: 2 } },
        sidecar: { tlsMinProtocolVersion: 'TLSv1_2' },
        traffic: { enableEgress: true, enablePermissiveTrafficPolicyMode: true, applicationIdleTimeout: '2s' },
        certificate: { trustDomain: 'cluster.local' },
      },
      'spec',
    );
  });

  for (const [name, spec] of Object.entries(borderSpecs)) {
    it(`take ${name}`, async () => {
      const apiVersion = 'config.openservicemesh.io/v1alpha2';
      const taken = await offer({ apiVersion, kind: 'MeshConfig', metadata: { name: 'osm-mesh-config' }, spec });
      assert.equal(taken.kind, 'MeshConfig');
    });
  }

  for (const { name, object, field } of badManifests) {
    it(`refuse ${name}, naming ${field}`, async () => {
      const refusal = await offer(object as Manifest).then(
        (taken) => assert.fail(`taken: ${JSON.stringify(taken)}`),
        (error: unknown) => (error instanceof Error ? error.message : String(error)),
      );
      assert.ok(refusal.includes(field), `the message does not name ${field}: ${refusal}`);
    });
  }

  it('keep `matches` of a TrafficSplit whatever version it is stored and read as', async () => {
    const split: Manifest = {
      apiVersion: 'split.smi-spec.io/v1alpha4',
      kind: 'TrafficSplit',
      metadata: { name: 'by-header' },
      spec: {
        service: 'shop',
        backends: [{ service: 'shop-v2', weight: 1 }],
        matches: [{ kind: 'HTTPRouteGroup', name: 'testers' }],
      },
    };
    await client.request('POST', collection(split), split);
    for (const version of ['v1alpha2', 'v1alpha3', 'v1alpha4']) {
      const read = await client.request<Manifest>(
        'GET',
        `/apis/split.smi-spec.io/${version}/namespaces/default/trafficsplits/by-header`,
      );
      assert.deepEqual(read.spec, split.spec, version);
    }
  });

  it('have a status that only the status subresource writes', async () => {
    const config: Manifest = {
      apiVersion: 'config.openservicemesh.io/v1alpha2',
      kind: 'MeshConfig',
      metadata: { name: 'osm-mesh-config' },
      status: { version: 'from the user' },
    };
    const created = await client.request<Manifest>('POST', collection(config), config);
    assert.equal(created.status, undefined);
    const ready = {
      type: 'Ready',
      status: 'False',
      observedGeneration: 1,
      lastTransitionTime: '2026-01-01T00:00:00Z',
      reason: 'RollingOut',
      message: 'The injector is starting.',
    };
    const path = `${collection(config)}/osm-mesh-config`;
    const status = { observedGeneration: 1, version: '2.0.0', conditions: [ready] };
    await client.request('PUT', `${path}/status`, { ...created, status });
    const table = await client.request<{ columnDefinitions: { name: string }[]; rows: { cells: unknown[] }[] }>(
      'GET',
      path,
      undefined,
      { accept: 'application/json;as=Table;v=v1;g=meta.k8s.io' },
    );
    assert.deepEqual(
      table.columnDefinitions.map((column) => column.name),
      ['Name', 'Ready', 'Reason', 'Version', 'Age', 'Message'],
    );
    assert.deepEqual(table.rows[0]?.cells.slice(0, 4), ['osm-mesh-config', 'False', 'RollingOut', '2.0.0']);
  });
});

function conditionsOf(crd: { status?: unknown }): readonly Condition[] {
  return (crd.status as { conditions?: Condition[] } | undefined)?.conditions ?? [];
}

function isTrue(type: string): (condition: Condition) => boolean {
  return (condition) => condition.type === type && condition.status === 'True';
}

/** Nothing of what was written is lost; defaults may have come in. */
function assertContains(actual: unknown, wanted: unknown, path: string): void {
  if (typeof wanted !== 'object' || wanted === null) {
    assert.deepEqual(actual, wanted, path);
    return;
  }
  assert.ok(typeof actual === 'object' && actual !== null, `${path} is gone`);
  for (const [key, value] of Object.entries(wanted)) assertContains(Reflect.get(actual, key), value, `${path}.${key}`);
}
