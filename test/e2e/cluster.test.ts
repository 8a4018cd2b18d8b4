/** The test cluster itself: two of them side by side, their repair, and that nothing is left behind. */
import { strict as assert } from 'node:assert';
import { existsSync, readFileSync, readdirSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { clusterProcesses, everyHierarchy } from '#test/cluster/cgroups.ts';
import { Cluster } from '#test/cluster/cluster.ts';
import { COMPONENTS, type Component } from '#test/cluster/components.ts';
import { clusterMounts, shimSockets } from '#test/cluster/down.ts';
import { imageRecipes } from '#test/cluster/images.ts';
import { ADDRESSES, layoutOf } from '#test/cluster/layout.ts';
import { networkProcesses } from '#test/cluster/network.ts';
import { run } from '#test/cluster/process.ts';
import { waitFor } from '#test/cluster/wait.ts';

const prefix = (process.env['OSM_TEST_CLUSTER'] ?? 'osm-test').slice(0, 20);
const a = new Cluster(`${prefix}-a`);
const b = new Cluster(`${prefix}-b`);
const log = (line: string): void => console.error(`      ${line}`);

const toolsImage = imageRecipes().find((image) => image.name.includes('/test-tools:'))?.name ?? 'test-tools is missing';

/** Two HTTP servers of one Deployment behind a dual-stack Service. */
const workload = {
  apiVersion: 'v1',
  kind: 'List',
  items: [
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: 'server', namespace: 'default' },
      spec: {
        replicas: 2,
        selector: { matchLabels: { app: 'server' } },
        template: {
          metadata: { labels: { app: 'server' } },
          spec: {
            containers: [
              {
                name: 'app',
                image: toolsImage,
                command: [
                  'node',
                  '-e',
                  'console.log("serving"); require("http").createServer((q, r) => r.end("hello")).listen(8080, "::")',
                ],
                readinessProbe: { tcpSocket: { port: 8080 }, periodSeconds: 1 },
                resources: { requests: { cpu: '10m' } },
              },
            ],
          },
        },
      },
    },
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'server', namespace: 'default' },
      spec: {
        selector: { app: 'server' },
        ipFamilyPolicy: 'RequireDualStack',
        ports: [{ port: 80, targetPort: 8080 }],
      },
    },
  ],
};

async function kubectl(cluster: Cluster, ...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await cluster.kubectl(args);
  assert.equal(code, 0, `kubectl ${args.join(' ')}:\n${stderr}`);
  return stdout;
}

/** Ids of the cluster's processes that run in pods. */
function podProcesses(cluster: Cluster): number[] {
  const layout = layoutOf(cluster.name);
  return clusterProcesses(layout).filter((pid) => {
    try {
      return readFileSync(`/proc/${pid}/cgroup`, 'utf8').includes(`/${layout.cgroup}/kubepods/`);
    } catch {
      return false; // ended meanwhile
    }
  });
}

async function pidOf(cluster: Cluster, component: Component): Promise<number> {
  const found = (await cluster.status()).components.find(({ name }) => name === component);
  return found?.pid ?? assert.fail(`${component} of ${cluster.name} does not run`);
}

/** Everything of a cluster that is still there. */
function remains(cluster: Cluster): string[] {
  const layout = layoutOf(cluster.name);
  const links = existsSync('/var/log/containers') ? readdirSync('/var/log/containers') : [];
  return [
    ...clusterProcesses(layout).map((pid) => `process ${pid} in its cgroup`),
    ...networkProcesses(layout).map((pid) => `process ${pid} in its network`),
    ...processesNaming(layout.state, layout.run).map((pid) => `process ${pid} names its folders`),
    ...clusterMounts(layout).map((path) => `mount ${path}`),
    ...everyHierarchy()
      .map((at) => join(at, layout.cgroup))
      .concat(layout.netns, layout.state, layout.run)
      .filter((path) => existsSync(path)),
    ...links
      .map((link) => join('/var/log/containers', link))
      .filter((link) => readlinkSync(link).startsWith(layout.state)),
  ];
}

/** Ids of all processes whose command line holds one of the paths: finds what left its cgroup and network. */
function processesNaming(...paths: string[]): number[] {
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/u.test(entry))
    .filter((pid) => {
      try {
        const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8');
        return paths.some((path) => command.includes(`${path}/`));
      } catch {
        return false; // ended meanwhile
      }
    })
    .map(Number);
}

describe('the test cluster', function () {
  this.timeout(180_000);
  let rulesBefore = '';

  before(async () => {
    rulesBefore = (await run('iptables-save', [])).stdout.replaceAll(/^#.*$|\[\d+:\d+\]/gmu, '');
    await a.down();
    await b.down();
    const started = performance.now();
    await a.up(log);
    log(`a new cluster was up after ${((performance.now() - started) / 1000).toFixed(1)} s`);
    const { code, stderr } = await a.kubectl(['apply', '-f', '-'], { input: JSON.stringify(workload) });
    assert.equal(code, 0, stderr);
    await kubectl(a, 'rollout', 'status', 'deployment/server', '--timeout=90s');
  });

  after(async () => {
    await a.down();
    await b.down();
  });

  it('is up with every component, its node, its DNS and its images', async () => {
    const status = await a.status();
    assert.equal(status.state, 'up');
    assert.deepEqual(
      status.components.filter(({ running }) => !running),
      [],
    );
    assert.deepEqual(
      imageRecipes()
        .map(({ name }) => name)
        .filter((name) => status.images[name] === undefined),
      [],
    );
  });

  for (const [family, address] of [['IPv4', ADDRESSES.dns[0]] as const, ['IPv6', ADDRESSES.dns[1]] as const]) {
    it(`resolves and reaches a service from inside a pod over ${family}`, async () => {
      const version = family === 'IPv4' ? 4 : 6;
      const script = `
        const resolver = new (require('dns').promises.Resolver)();
        resolver.setServers(['${version === 6 ? `[${address}]` : address}']);
        const found = await resolver.resolve${version}('server.default.svc.cluster.local');
        const answer = await fetch('http://' + (${version} === 6 ? '[' + found[0] + ']' : found[0]) + '/');
        console.log(found[0], await answer.text());`;
      await waitFor(`an answer over ${family}`, 15_000, async () => {
        const said = await a.kubectl(['exec', 'deployment/server', '--', 'node', '-e', `(async () => {${script}})()`]);
        return (
          said.code === 0 && (version === 6 ? /^fd00:10:96:\S+ hello\n$/u : /^10\.96\.\S+ hello\n$/u).test(said.stdout)
        );
      });
    });
  }

  it('runs a command in a pod, and shows its log', async () => {
    assert.equal(await kubectl(a, 'exec', 'deployment/server', '--', 'echo', 'inside'), 'inside\n');
    assert.match(await kubectl(a, 'logs', 'deployment/server'), /^serving/mu);
  });

  it('is found as it is by a second up, which restarts nothing', async () => {
    const before = (await a.status()).components;
    const pods = podProcesses(a);
    await a.up(log);
    assert.deepEqual((await a.status()).components, before);
    assert.deepEqual(podProcesses(a), pods);
  });

  it('stands beside another, whose kubelet and down leave its pods alone', async () => {
    const pods = podProcesses(a);
    assert.ok(pods.length >= 4, `the pods of ${a.name} have processes: ${pods.join(' ')}`);
    await b.up(log, { images: 'essential' });
    const kubelet = await pidOf(b, 'kubelet');
    await b.restartComponent('kubelet');
    assert.notEqual(await pidOf(b, 'kubelet'), kubelet);
    // The new kubelet has looked at all cgroups and pods once it has reported the node's state.
    await waitFor(`the node of ${b.name} is Ready`, 60_000, () => b.nodeReady());
    await waitFor(`DNS of ${b.name} is Ready`, 60_000, () => b.deploymentReady('coredns'));
    assert.deepEqual(podProcesses(a), pods);
    await b.down();
    assert.deepEqual(remains(b), []);
    assert.deepEqual(podProcesses(a), pods);
    assert.equal((await a.status()).state, 'up');
  });

  it('is repaired by up when components were killed, and its pods run on', async () => {
    const pods = podProcesses(a);
    for (const component of ['kubelet', 'kube-proxy', 'containerd', 'apiserver'] as const) {
      process.kill(await pidOf(a, component), 'SIGKILL');
    }
    await waitFor('the killed components are gone', 10_000, async () => (await a.status()).state === 'degraded');
    await a.up(log, { images: 'essential' });
    assert.equal((await a.status()).state, 'up');
    assert.deepEqual(podProcesses(a), pods);
    // The node's Ready is from before the kill until the new kubelet has reported; only then does it know its pods.
    await waitFor('the new kubelet reaches into a pod', 60_000, async () => {
      const { stdout } = await a.kubectl(['exec', 'deployment/server', '--', 'echo', 'inside']);
      return stdout === 'inside\n';
    });
  });

  it('comes up again after every process was killed and its network was lost, as after a reboot', async () => {
    const layout = layoutOf(a.name);
    for (const pid of clusterProcesses(layout)) process.kill(pid, 'SIGKILL');
    const unmounted = await run('ip', ['netns', 'delete', layout.netnsName]);
    assert.equal(unmounted.code, 0, unmounted.stderr);
    await a.up(log, { images: 'essential' });
    await kubectl(a, 'rollout', 'status', 'deployment/server', '--timeout=90s');
    await waitFor(
      'a pod answers again',
      60_000,
      async () => (await a.kubectl(['exec', 'deployment/server', '--', 'true'])).code === 0,
    );
    assert.deepEqual(
      (await a.status()).components.map(({ name }) => name),
      [...COMPONENTS],
    );
  });

  it('stops and starts a component by name', async () => {
    await a.stopComponent('scheduler');
    assert.equal((await a.status()).state, 'degraded');
    await a.startComponent('scheduler');
    assert.equal((await a.status()).state, 'up');
    await assert.rejects(
      a.stopComponent('schedular'),
      /no component is named "schedular": there are containerd, etcd,/u,
    );
  });

  it('leaves nothing behind: no process, mount, network, cgroup, file, link or rule', async () => {
    const guest = a.spawnInside('sleep', ['600'], { stdio: 'ignore' });
    const ended = new Promise((resolve) => guest.on('exit', resolve));
    const sockets = shimSockets(layoutOf(a.name));
    assert.ok(
      sockets.length >= 3 && sockets.every((path) => existsSync(path)),
      `each pod has its shim's socket: ${sockets.join(' ')}`,
    );
    await a.down();
    await ended;
    assert.deepEqual(remains(a).concat(sockets.filter((path) => existsSync(path))), []);
    const rules = (await run('iptables-save', [])).stdout.replaceAll(/^#.*$|\[\d+:\d+\]/gmu, '');
    assert.equal(rules, rulesBefore);
  });
});
