/** From nothing to a mesh: the guard before the MeshConfig, the install, the status, and a MeshConfig that is wrong. */
import assert from 'node:assert/strict';
import { eventually } from '#test/support/eventually.ts';
import { lab } from './support/lab.ts';
import { namespace, TOOLS_IMAGE } from './support/manifests.ts';

const NAKED = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'early', namespace: 'early' },
  spec: { containers: [{ name: 'app', image: TOOLS_IMAGE, command: ['sleep', 'infinity'] }] },
};

describe('install', () => {
  it('applies deploy/install.yaml, and the operator becomes available', async () => {
    await lab.install();
    await lab.kubectl(['rollout', 'status', '-n', 'osm-system', 'deployment/osm-operator', '--timeout=90s']);
  });

  it('refuses a pod of a labelled namespace that is applied before the MeshConfig, and says what to do', async () => {
    await lab.apply([namespace('early', true)]);
    // The policy is compiled by the API server some moments after it is applied; a pod that slips through is deleted again.
    const refusal = await eventually('the guard refuses a pod without a sidecar', async () => {
      const { code, stderr } = await lab.run(['apply', '-f', '-'], { input: JSON.stringify(NAKED) });
      if (code !== 0) return stderr;
      await lab.kubectl(['delete', 'pod', '-n', 'early', 'early', '--now']);
      return undefined;
    });
    assert.match(refusal, /osm-sidecar-guard/);
    assert.match(refusal, /MeshConfig/);
  });

  it('admits a pod of the same namespace that opts out, and pods of other namespaces', async () => {
    const optedOut = structuredClone(NAKED) as typeof NAKED & { metadata: { annotations?: Record<string, string> } };
    optedOut.metadata.name = 'opted-out';
    optedOut.metadata.annotations = { 'openservicemesh.io/sidecar-injection': 'disabled' };
    await lab.apply([
      optedOut,
      namespace('elsewhere', false),
      { ...NAKED, metadata: { name: 'free', namespace: 'elsewhere' } },
    ]);
  });

  it('turns the MeshConfig of crds/examples into a Ready mesh', async () => {
    const started = Date.now();
    await lab.applyMeshConfig();
    const seconds = ((Date.now() - started) / 1000).toFixed(1);
    console.log(`      MeshConfig applied → Ready in ${seconds} s`);
    const mesh = await lab.json<{ metadata: { generation: number }; status: { observedGeneration: number } }>([
      'get',
      'meshconfig',
      'osm-mesh-config',
      '-n',
      'osm-system',
    ]);
    assert.equal(mesh.status.observedGeneration, mesh.metadata.generation);
  });

  it('injects the same pod now, and its sidecar becomes ready', async () => {
    const { metadata } = NAKED;
    await lab.apply([NAKED]);
    await lab.kubectl(['wait', '-n', metadata.namespace, 'pod/early', '--for=condition=Ready', '--timeout=90s']);
    const pod = await lab.json<{ spec: { initContainers: { name: string }[] } }>([
      'get',
      'pod',
      '-n',
      'early',
      'early',
    ]);
    assert.deepEqual(
      pod.spec.initContainers.map((container) => container.name),
      ['osm-init', 'envoy'],
    );
    assert.equal(
      (await lab.kubectl(['exec', '-n', 'early', 'early', '--', 'echo', 'from the application'])).trim(),
      'from the application',
    );
  });

  it("chooses the application's container for kubectl logs and exec", async () => {
    const talker = {
      ...NAKED,
      metadata: { name: 'talker', namespace: 'early' },
      spec: { containers: [{ name: 'app', image: TOOLS_IMAGE, command: ['sh', '-c', 'echo spoken; sleep infinity'] }] },
    };
    await lab.apply([talker]);
    await lab.kubectl(['wait', '-n', 'early', 'pod/talker', '--for=condition=Ready', '--timeout=90s']);
    assert.equal((await lab.kubectl(['logs', '-n', 'early', 'talker'])).trim(), 'spoken');
  });

  it('shows Prometheus the sidecar, and only its metrics, where the namespace asks for it', async () => {
    await lab.kubectl(['annotate', 'namespace', 'early', 'openservicemesh.io/metrics=enabled']);
    const scraped = await eventually('a pod is annotated for scraping', async () => {
      await lab.run(['delete', 'pod', '-n', 'early', 'scraped', '--now', '--ignore-not-found']);
      await lab.apply([{ ...NAKED, metadata: { name: 'scraped', namespace: 'early' } }]);
      const pod = await lab.json<{ metadata: { annotations?: Record<string, string> } }>([
        'get',
        'pod',
        '-n',
        'early',
        'scraped',
      ]);
      return pod.metadata.annotations?.['prometheus.io/port'] === '15010' ? pod : undefined;
    });
    assert.equal(scraped.metadata.annotations?.['prometheus.io/path'], '/stats/prometheus');
    await lab.kubectl(['wait', '-n', 'early', 'pod/scraped', '--for=condition=Ready', '--timeout=90s']);
    await lab.kubectl(['wait', '-n', 'elsewhere', 'pod/free', '--for=condition=Ready', '--timeout=90s']);
    const { status } = await lab.json<{ status: { podIP: string } }>(['get', 'pod', '-n', 'early', 'scraped']);
    const fromOutside = (path: string): Promise<string> =>
      lab.kubectl([
        'exec',
        '-n',
        'elsewhere',
        'free',
        '--',
        'curl',
        '-sS',
        '--max-time',
        '5',
        `http://${status.podIP}:15010${path}`,
      ]);
    await eventually('the metrics can be read', async () =>
      (await fromOutside('/stats/prometheus')).includes('envoy_server_live'),
    );
    assert.ok(!(await fromOutside('/config_dump')).includes('bootstrap'), 'nothing but the metrics is shown');
  });

  it('tells of what it found wrong in a Service: in kubectl describe, and on the MeshConfig, which stays Ready', async () => {
    const odd = {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'odd', namespace: 'early' },
      spec: { selector: { app: 'odd' }, ports: [{ name: 'main', port: 80, appProtocol: 'postgres' }] },
    };
    const condition = async (type: string): Promise<{ status: string; message: string } | undefined> => {
      const { status } = await lab.json<{
        status: { conditions: { type: string; status: string; message: string }[] };
      }>(['get', 'meshconfig', '-n', 'osm-system', 'osm-mesh-config']);
      return status.conditions.find((one) => one.type === type);
    };
    await lab.apply([odd]);
    const describe = ['describe', 'service', '-n', 'early', 'odd'];
    await eventually(
      'kubectl describe shows it',
      async () => /Warning\s+PortProtocolUnknown\s.*appProtocol "postgres"/.test(await lab.kubectl(describe)),
      { state: () => lab.kubectl(describe) },
    );
    const found = await eventually('the condition', async () => {
      const seen = await condition('PoliciesAccepted');
      return seen?.status === 'False' && seen;
    });
    assert.match(found.message, /port-protocol-unknown in Service early\/odd/);
    assert.equal((await condition('Ready'))?.status, 'True');
    await lab.kubectl(['delete', 'service', '-n', 'early', 'odd']);
    await eventually('the condition holds again', async () => (await condition('PoliciesAccepted'))?.status === 'True');
  });

  it('says of a wrong MeshConfig which field is wrong, and leaves the running mesh as it was', async () => {
    const before = await lab.controlPlaneVersions();
    // The schema cannot see this one: both values are allowed, their order is not.
    const patch = { spec: { sidecar: { tlsMinProtocolVersion: 'TLSv1_3', tlsMaxProtocolVersion: 'TLSv1_2' } } };
    const { code, stderr } = await lab.run([...lab.meshConfigPatch, JSON.stringify(patch)]);
    assert.notEqual(code, 0, 'the API server must refuse it by CEL');
    assert.match(stderr, /tlsM(in|ax)ProtocolVersion/);
    assert.deepEqual(await lab.controlPlaneVersions(), before);
  });
});
