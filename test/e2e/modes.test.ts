/**
 * Policies that change under load: permissive to SMI, one SMI policy to another, and back. HTTP obeys on connections that are
 * open, TCP with the next connection; who may call before and after notices nothing.
 */
import assert from 'node:assert/strict';
import { eventually } from '#test/support/eventually.ts';
import { type HeldConnection, holdConnection } from './support/held-connection.ts';
import { lab } from './support/lab.ts';
import { answersLike, type LoadReport } from './support/load-report.ts';
import {
  allProtocolsServer,
  httpRouteGroup,
  namespace,
  tcpRoute,
  trafficTarget,
  workload,
} from './support/manifests.ts';
import { type SteadyLoad, steadyLoad } from './support/steady-load.ts';

const NS = 'modes';
const OUTSIDE = 'modes-outside';
const SLEEP = ['sleep', 'infinity'];

/** How long after a change anybody may still be answered by the rule before. */
const OBEYED_MS = 2000;
/** Envoy's `--drain-time-s` of a sidecar. */
const DRAIN_MS = 5000;
/** Over which time a rule must have been seen to hold before a test goes on. */
const CALM_MS = 1500;

const HTTP = 'http://server:8080';
const TCP = 'tcp://server:7000';
const OPEN_PATHS = '/hello|/changing';

describe('modes and policies that change under load', () => {
  const loads: SteadyLoad[] = [];
  const held: HeldConnection[] = [];

  before(async () => {
    await lab.meshIsUp();
    await lab.setPermissive(true);
    await lab.apply([namespace(NS, true), namespace(OUTSIDE, false)]);
    await lab.apply([
      ...allProtocolsServer({ namespace: NS, name: 'server' }),
      ...allProtocolsServer({ namespace: NS, name: 'other' }),
      ...['friend', 'stranger'].flatMap((name) => workload({ namespace: NS, name, command: SLEEP })),
      ...workload({ namespace: OUTSIDE, name: 'naked', command: SLEEP }),
      httpRouteGroup(NS, 'open', [{ name: 'open', pathRegex: OPEN_PATHS, methods: ['GET'] }]),
      trafficTarget('http', `${NS}/friend`, `${NS}/server`, { kind: 'HTTPRouteGroup', name: 'open' }),
      tcpRoute(NS, 'echo', [7000]),
      trafficTarget('echo', `${NS}/friend`, `${NS}/server`, { kind: 'TCPRoute', name: 'echo' }),
      otherTarget,
    ]);
    await lab.rolledOut(NS, 'server', 'other', 'friend', 'stranger');
    await lab.rolledOut(OUTSIDE, 'naked');
    for (const [client, url] of [
      ['friend', `${HTTP}/hello`],
      ['stranger', `${HTTP}/hello`],
    ] as const) {
      await eventually(`${client} is answered`, async () => (await lab.curl(NS, client, url)).status === 200);
    }
  });

  afterEach(async () => {
    for (const connection of held.splice(0)) connection.end();
    await Promise.all(loads.splice(0).map((load) => load.stop()));
  });

  after(async () => {
    await lab.setPermissive(true);
    await lab.kubectl(['delete', 'namespace', NS, OUTSIDE, '--wait=false']);
  });

  /** Of one that is allowed to call all the while. */
  const load = (client: string, url: string): Promise<SteadyLoad> => started(steadyLoad(NS, client, url));

  /** Of one whom a policy refuses, at one time at least. */
  const refusedLoad = (client: string, url: string, ns = NS): Promise<SteadyLoad> =>
    started(steadyLoad(ns, client, url, { mayBeRefused: true }));

  async function started(starting: Promise<SteadyLoad>): Promise<SteadyLoad> {
    const load = await starting;
    loads.push(load);
    return load;
  }

  async function hold(client: string, host: string): Promise<HeldConnection> {
    const connection = await holdConnection(NS, client, host, 7000);
    held.push(connection);
    return connection;
  }

  it('permissive to SMI: the next request and the next connection obey within 2 s, and who stays allowed loses none', async () => {
    const [friendHttp, friendTcp, strangerHttp, strangerTcp, naked] = [
      await load('friend', `${HTTP}/hello`),
      await load('friend', TCP),
      await refusedLoad('stranger', `${HTTP}/hello`),
      await refusedLoad('stranger', TCP),
      await refusedLoad('naked', `http://server.${NS}:8080/hello`, OUTSIDE),
    ];
    const established = await hold('stranger', 'server');
    const changedAt = Date.now();
    await lab.setPermissive(false);
    await obeyed('the stranger’s requests', strangerHttp, { changedAt, old: '200', now: '403 not-allowed' });
    assert.equal(strangerHttp.report().connections, strangerHttp.workers, 'on the connections that it had before');
    await obeyed('the stranger’s connections', strangerTcp, { changedAt, old: 'answered', now: REFUSED });
    await drained('the stranger’s established connection', established, changedAt);
    await friendHttp.assertNoneLost();
    await friendTcp.assertNoneLost();
    assertNeverAnswered(naked.report());
  });

  it('one SMI policy to another: likewise, and connections of another service stay', async () => {
    await lab.setPermissive(false);
    await eventually(
      'the stranger is refused',
      async () => (await lab.curl(NS, 'stranger', `${HTTP}/hello`)).status === 403,
    );
    const [allowed, changing, denied, stranger, tcp, otherTcp] = [
      await load('friend', `${HTTP}/hello`),
      await refusedLoad('friend', `${HTTP}/changing`),
      await refusedLoad('friend', `${HTTP}/secret`),
      await refusedLoad('stranger', `${HTTP}/hello`),
      await load('friend', TCP),
      await refusedLoad('friend', 'tcp://other:7000'),
    ];
    const [unchanged, changed] = [await hold('friend', 'server'), await hold('friend', 'other')];
    const changedAt = Date.now();
    await lab.apply([httpRouteGroup(NS, 'open', [{ name: 'open', pathRegex: '/hello|/new', methods: ['GET'] }])]);
    await lab.remove([otherTarget]);
    await obeyed('requests of a path that is allowed no more', changing, {
      changedAt,
      old: '200',
      now: '403 no-route',
    });
    assert.equal(changing.report().connections, changing.workers, 'on the connections that it had before');
    await obeyed('connections to a service that is allowed no more', otherTcp, {
      changedAt,
      old: 'answered',
      now: REFUSED,
    });
    await drained('the established connection to that service', changed, changedAt);
    await allowed.assertNoneLost();
    await tcp.assertNoneLost();
    assertNeverAnswered(denied.report());
    assertNeverAnswered(stranger.report());
    await unchanged.carriesWords();
  });

  it('SMI to permissive: who was refused is answered within 2 s, and who was answered loses none', async () => {
    const [friendHttp, friendTcp, strangerHttp, strangerTcp, naked] = [
      await load('friend', `${HTTP}/hello`),
      await load('friend', TCP),
      await refusedLoad('stranger', `${HTTP}/hello`),
      await refusedLoad('stranger', TCP),
      await refusedLoad('naked', `http://server.${NS}:8080/hello`, OUTSIDE),
    ];
    const changedAt = Date.now();
    await lab.setPermissive(true);
    await obeyed('the stranger’s requests', strangerHttp, { changedAt, old: '403', now: '200 server' });
    assert.equal(strangerHttp.report().connections, strangerHttp.workers, 'on the connections that it had before');
    await obeyed('the stranger’s connections', strangerTcp, { changedAt, old: REFUSED, now: 'answered server' });
    await friendHttp.assertNoneLost();
    await friendTcp.assertNoneLost();
    assertNeverAnswered(naked.report());
  });
});

const REFUSED = 'closed without a byte';

const otherTarget = trafficTarget('other', `${NS}/friend`, `${NS}/other`, { kind: 'TCPRoute', name: 'echo' });

/** Waits until the new rule has held for a while; the last answer by the old one must have come soon after the change. */
async function obeyed(
  what: string,
  load: SteadyLoad,
  rule: { readonly changedAt: number; readonly old: string; readonly now: string },
): Promise<void> {
  const { changedAt, old, now } = rule;
  await eventually(
    `${what} obey the new rule`,
    async () => {
      const report = load.report();
      const since = Math.max(changedAt, answersLike(report, old).last);
      return answersLike(report, now).last > since + CALM_MS;
    },
    { deadlineMs: 20_000, state: async () => JSON.stringify(load.report(), undefined, 1) },
  );
  const report = load.report();
  const foreign = Object.keys(report.answers).filter((key) => !key.startsWith(old) && !key.startsWith(now));
  assert.deepEqual(foreign, [], `${what}: neither the old rule nor the new; ${JSON.stringify(report, undefined, 1)}`);
  assert.ok(answersLike(report, old).count > 0, `${what} went by the old rule before: ${JSON.stringify(report)}`);
  const ms = Math.max(0, answersLike(report, old).last - changedAt);
  console.log(`      ${what}: the last by the old rule ${ms} ms after the change`);
  assert.ok(ms <= OBEYED_MS, `${what}: ${ms} ms; ${JSON.stringify(report, undefined, 1)}`);
}

/** An established TCP connection of a chain that changed ends with the drain. */
async function drained(what: string, connection: HeldConnection, changedAt: number): Promise<void> {
  const closedAt = await connection.closed(DRAIN_MS + 2 * OBEYED_MS + 5000);
  const ms = closedAt - changedAt;
  console.log(`      ${what}: ended ${ms} ms after the change`);
  assert.ok(ms <= DRAIN_MS + OBEYED_MS, `${what}: ${ms} ms; ${JSON.stringify(connection.state())}`);
}

function assertNeverAnswered(report: LoadReport): void {
  assert.ok(report.sent > 10, JSON.stringify(report));
  assert.equal(report.statuses['200'] ?? 0, 0, JSON.stringify(report, undefined, 1));
}
