/**
 * What comes and goes in a mesh under constant load: services, endpoints, accounts behind a service, routes and splits. No call
 * fails, and a TCP connection that none of it concerns stays open from the first change to the last.
 */
import { eventually } from '#test/support/eventually.ts';
import { callFrom } from './support/calls.ts';
import { type HeldConnection, holdConnection } from './support/held-connection.ts';
import { lab } from './support/lab.ts';
import {
  ALL_PROTOCOLS,
  allProtocolsServer,
  httpRouteGroup,
  namespace,
  service,
  tcpRoute,
  trafficSplit,
  trafficTarget,
  workload,
  type WorkloadOptions,
} from './support/manifests.ts';
import { assertSteadyUntilEnd, shareOf, type SteadyLoad, steadyLoad } from './support/steady-load.ts';

const NS = 'changes';
/** Servers that take a moment to go, so that nobody calls one that has gone. */
const gentle: Partial<WorkloadOptions> = { annotations: { 'openservicemesh.io/prestop-sleep': '3' } };
/** Calls a second of each load. */
const FLOOR = { http: 20, tcp: 10 };
/** Calls over which a share is measured: three standard deviations of a half are then less than `TOLERANCE`. */
const SAMPLE = 300;
/** Calls over which all or none must go to a backend. */
const WHOLE_SAMPLE = 80;
/** Per cent. */
const TOLERANCE = 10;

function server(name: string, options: Partial<WorkloadOptions> = {}): object[] {
  return allProtocolsServer({ namespace: NS, name, ...gentle, ...options });
}

/** Lets the client call everything of an account that a test does not look at closer. */
function openTo(account: string): object[] {
  const rules = [
    { kind: 'HTTPRouteGroup', name: 'all' },
    { kind: 'TCPRoute', name: 'echo' },
  ];
  return rules.map((rule) => trafficTarget(`${account}-${rule.name}`, `${NS}/client`, `${NS}/${account}`, rule));
}

const routes = (name: string, pathRegex: string): object =>
  httpRouteGroup(NS, name, [{ name: 'match', pathRegex, methods: ['*'] }]);

describe('changes under constant load', () => {
  const loads: SteadyLoad[] = [];
  let kept: HeldConnection;

  before(async () => {
    await lab.meshIsUp();
    await lab.apply([namespace(NS, true)]);
    await lab.apply([
      ...workload({ namespace: NS, name: 'client', command: ['sleep', 'infinity'] }),
      ...server('web', { labels: { serves: 'crowd' } }),
      ...server('keeper'),
      ...['v1', 'v2'].flatMap((name) => server(name, { labels: { serves: 'shop' } })),
      service(NS, 'crowd', { serves: 'crowd' }, ALL_PROTOCOLS),
      service(NS, 'shop', { serves: 'shop' }, ALL_PROTOCOLS),
      routes('all', '.*'),
      routes('hello', '/hello'),
      tcpRoute(NS, 'echo', [7000]),
      ...['web', 'guest', 'keeper', 'v1', 'v2', 'neighbour'].flatMap(openTo),
    ]);
    await lab.rolledOut(NS, 'client', 'web', 'keeper', 'v1', 'v2');
    await lab.setPermissive(false);
    for (const name of ['crowd', 'shop']) await reached(`http://${name}:8080/hello`);
    for (const name of ['crowd', 'shop']) {
      loads.push(await steadyLoad(NS, 'client', `http://${name}:8080/hello`));
      loads.push(await steadyLoad(NS, 'client', `tcp://${name}:7000`));
    }
    kept = await holdConnection(NS, 'client', 'keeper', 7000);
  });

  after(async () => {
    kept?.end();
    // What they saw has been judged by the last test: whatever it was, the cluster is left as it was found.
    await Promise.allSettled(loads.map((load) => load.stop()));
    await lab.setPermissive(true);
    await lab.kubectl(['delete', 'namespace', NS, '--wait=false']);
  });

  afterEach(async () => {
    for (const load of loads) await load.assertNoneLost();
    await kept.carriesWords();
  });

  it('other services come and go, a headless one among them', async () => {
    const objects = [...server('neighbour'), ...server('neighbours', { headless: true, account: 'neighbour' })];
    await lab.apply(objects);
    await lab.rolledOut(NS, 'neighbour', 'neighbours');
    for (const name of ['neighbour', 'neighbours']) await reached(`http://${name}:8080/hello`);
    await lab.remove(objects);
    await podsAre('neighbour', 0);
  });

  it('endpoints come and go, those of the held connection’s service among them', async () => {
    await Promise.all([lab.scale(NS, 'web', 3), lab.scale(NS, 'keeper', 2)]);
    await answeredBy('web-', 3);
    await lab.scale(NS, 'web', 1);
    await podsAre('web', 1);
  });

  it('an account joins those behind a service, and leaves', async () => {
    const guest = server('guest', { labels: { serves: 'crowd' } });
    await lab.apply(guest);
    await lab.rolledOut(NS, 'guest');
    await answeredBy('guest-', 1);
    await lab.remove(guest);
    await podsAre('guest', 0);
  });

  it('routes change, and policies that allow the same take turns', async () => {
    const second = trafficTarget('web-second', `${NS}/client`, `${NS}/web`, { kind: 'HTTPRouteGroup', name: 'hello' });
    await lab.apply([second]);
    await lab.remove(openTo('web').slice(0, 1));
    await eventually('the narrower route alone is in force', async () => (await statusOf('/extra')) === 403);
    await lab.apply([routes('hello', '/hello|/extra')]);
    await eventually('the wider route is in force', async () => (await statusOf('/extra')) === 200);
    await lab.apply([...openTo('web')]);
    await lab.remove([second]);
    await lab.apply([trafficTarget('web-tcp-second', `${NS}/keeper`, `${NS}/web`, { kind: 'TCPRoute', name: 'echo' })]);
    await eventually('another account may call as well', async () => {
      return (await callFrom(NS, 'keeper', { protocol: 'tcp', target: 'crowd:7000' })).answer.includes('echo word');
    });
  });

  it('a split comes, its weights change, and it goes', async () => {
    const [http, tcp] = loads.filter(({ url }) => url.includes('shop')) as [SteadyLoad, SteadyLoad];
    for (const weight of [100, 50, 10, 0]) {
      await lab.apply([trafficSplit(NS, 'shop', 'shop', { v1: weight, v2: 100 - weight })]);
      await settled(http, tcp, weight);
    }
    await lab.remove([trafficSplit(NS, 'shop', 'shop', {})]);
    await settled(http, tcp, 50);
  });

  it('all the while calls were made, and none was lost', async () => {
    await assertSteadyUntilEnd(loads, FLOOR);
  });

  /** Shares of v1 come near its weight, over HTTP and TCP. */
  async function settled(http: SteadyLoad, tcp: SteadyLoad, weight: number): Promise<void> {
    const whole = weight % 100 === 0;
    let shares: readonly number[] = [];
    await eventually(
      `v1 has a share of ${weight} %`,
      async () => {
        shares = await Promise.all([http, tcp].map((load) => shareOf(load, 'v1', whole ? WHOLE_SAMPLE : SAMPLE)));
        return shares.every((share) => Math.abs(share - weight) <= (whole ? 0 : TOLERANCE));
      },
      { deadlineMs: 30_000, state: async () => `shares ${shares.join(', ')}` },
    );
    const [ofHttp, ofTcp] = shares.map((share) => share.toFixed(1));
    console.log(`      weight ${weight} %: ${ofHttp} % of requests, ${ofTcp} % of connections`);
  }

  async function reached(url: string): Promise<void> {
    await eventually(`client reaches ${url}`, async () => (await lab.curl(NS, 'client', url)).status === 200);
  }

  async function statusOf(path: string): Promise<number> {
    return (await lab.curl(NS, 'client', `http://web:8080${path}`)).status;
  }

  /** Waits until at least so many pods with this prefix have answered, over HTTP and over TCP. */
  async function answeredBy(prefix: string, pods: number): Promise<void> {
    await eventually(
      `${pods} pods ${prefix}… have answered`,
      async () =>
        ['200', 'answered'].every((status) => {
          const seen = loads.flatMap((load) => Object.keys(load.report().answers));
          return seen.filter((key) => key.startsWith(`${status} ${prefix}`)).length >= pods;
        }),
      { state: async () => JSON.stringify(loads.map((load) => load.report().answers)) },
    );
  }

  /** Counts also those that are on their way out. */
  async function podsAre(app: string, count: number): Promise<void> {
    await eventually(`${count} pods of ${app} are left`, async () => {
      const { items } = await lab.json<{ items: unknown[] }>(['get', 'pods', '-n', NS, '-l', `app=${app}`]);
      return items.length === count;
    });
  }
});
