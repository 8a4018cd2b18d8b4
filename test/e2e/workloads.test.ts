/** What applications do to a mesh: jobs, first seconds, rolling restarts, long connections. */
import assert from 'node:assert/strict';
import { eventually } from '#test/support/eventually.ts';
import { holdConnection } from './support/held-connection.ts';
import { lab } from './support/lab.ts';
import type { LoadReport } from './support/load-report.ts';
import {
  httpRouteGroup,
  namespace,
  TOOLS_IMAGE,
  trafficTarget,
  workload,
  type WorkloadOptions,
} from './support/manifests.ts';

const NS = 'workloads';

function server(name: string, options: Partial<WorkloadOptions> = {}): object[] {
  return workload({
    namespace: NS,
    name,
    command: ['node', '/programs/http-server.mjs', '8080'],
    ports: [{ name: 'http', port: 8080 }],
    readiness: '/',
    ...options,
  });
}

function job(name: string, script: string): object {
  return {
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: { name, namespace: NS },
    spec: {
      backoffLimit: 0,
      template: {
        spec: {
          restartPolicy: 'Never',
          containers: [{ name: 'app', image: TOOLS_IMAGE, command: ['sh', '-c', script] }],
        },
      },
    },
  };
}

describe('workloads', () => {
  before(async () => {
    await lab.meshIsUp();
    await lab.apply([namespace(NS, true)]);
    await lab.apply(server('server'));
    await lab.rolledOut(NS, 'server');
  });

  it('a Job with a sidecar completes, and its first request, in its first second, is answered', async () => {
    await lab.apply([job('first-second', 'curl -sS --fail --max-time 10 http://server:8080/first')]);
    await lab.kubectl(['wait', '-n', NS, 'job/first-second', '--for=condition=Complete', '--timeout=60s']);
    assert.match(await lab.kubectl(['logs', '-n', NS, 'job/first-second']), /GET \/first/);
  });

  it('a rolling restart under load loses no request with the preStop opt-in, for any method', async () => {
    await lab.apply(
      server('gentle', {
        replicas: 2,
        annotations: { 'openservicemesh.io/prestop-sleep': '3' },
        terminationGracePeriodSeconds: 15,
      }),
    );
    await lab.rolledOut(NS, 'gentle');
    const report = await restartUnderLoad('gentle', 'POST');
    assert.deepEqual(report.errors, {});
    assert.deepEqual(Object.keys(report.statuses), ['200'], JSON.stringify(report));
  });

  it('without it, each request not yet written to the application succeeds; GET loses none, and POST at most those in flight', async () => {
    await lab.apply(server('abrupt', { replicas: 2 }));
    await lab.rolledOut(NS, 'abrupt');
    const report = await restartUnderLoad('abrupt', 'GET');
    assert.deepEqual(Object.keys(report.statuses), ['200'], JSON.stringify(report));
    const posts = await restartUnderLoad('abrupt', 'POST');
    const lost = posts.sent - (posts.statuses['200'] ?? 0);
    console.log(
      `      POST during an abrupt restart: ${posts.sent} sent, ${lost} lost (written to an application that died)`,
    );
    // Two pods restart, four workers: at most one request of each worker was inside each dying application.
    assert.ok(lost <= 8, JSON.stringify(posts));
  });

  it('a TCP connection held open through a dozen unrelated changes stays open', async () => {
    await lab.apply([
      ...workload({
        namespace: NS,
        name: 'banner',
        command: ['node', '/programs/banner-server.mjs', '7000'],
        ports: [{ name: 'tcp-banner', port: 7000, appProtocol: 'tcp-server-first' }],
      }),
      ...workload({ namespace: NS, name: 'holder', command: ['sleep', 'infinity'] }),
    ]);
    await lab.rolledOut(NS, 'banner', 'holder');
    await eventually('the holder reads the banner', async () =>
      (await lab.netcat(NS, 'holder', 'banner', 7000)).includes('BANNER'),
    );
    const held = await holdConnection(NS, 'holder', 'banner', 7000);
    await unrelatedChanges();
    await held.carriesWords();
    held.end();
  });
});

/** Services, a headless service with pods, a server-first service, and policies come and go. */
async function unrelatedChanges(): Promise<void> {
  const extra = (name: string, options: Partial<WorkloadOptions>): object[] =>
    server(name, { replicas: 1, ...options });
  const rounds: object[][] = [
    extra('extra-http', {}),
    extra('extra-headless', { headless: true }),
    workload({
      namespace: NS,
      name: 'extra-tcp',
      command: ['node', '/programs/banner-server.mjs', '7001'],
      ports: [{ name: 'x', port: 7001, appProtocol: 'tcp-server-first' }],
    }),
    [
      httpRouteGroup(NS, 'extra-routes', [{ name: 'all', pathRegex: '.*', methods: ['*'] }]),
      trafficTarget('extra-target', `${NS}/holder`, `${NS}/extra-http`, {
        kind: 'HTTPRouteGroup',
        name: 'extra-routes',
        matches: ['all'],
      }),
    ],
  ];
  for (const objects of rounds) await lab.apply(objects);
  await lab.rolledOut(NS, 'extra-http', 'extra-headless', 'extra-tcp');
  await eventually(
    'the holder sees the new service',
    async () => (await lab.curl(NS, 'holder', 'http://extra-http:8080/')).status === 200,
  );
  await lab.kubectl(['scale', '-n', NS, 'deployment/extra-headless', '--replicas=2']);
  await lab.rolledOut(NS, 'extra-headless');
  for (const objects of rounds.reverse()) await lab.remove(objects);
  await eventually('the holder no longer sees it', async () => {
    const { code } = await lab.run([
      'exec',
      '-n',
      NS,
      'deployment/holder',
      '--',
      'curl',
      '-sS',
      '--max-time',
      '2',
      'http://extra-http:8080/',
    ]);
    return code !== 0;
  });
}

/** Loads a service from a meshed pod while its deployment restarts once; returns what the load saw. */
async function restartUnderLoad(name: string, method: string): Promise<LoadReport> {
  await eventually(
    `${name} answers`,
    async () => (await lab.curl(NS, 'server', `http://${name}:8080/`)).status === 200,
  );
  const load = await lab.load(NS, 'server', `http://${name}:8080/`, { method, seconds: 25, workers: 4, pauseMs: 5 });
  await lab.kubectl(['rollout', 'restart', '-n', NS, `deployment/${name}`]);
  await lab.rolledOut(NS, name);
  return load.finish();
}
