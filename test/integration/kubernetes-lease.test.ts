import assert from 'node:assert/strict';
import { type Client, createClient } from '#kubernetes/client.ts';
import { createEventRecorder } from '#kubernetes/events.ts';
import { ConfigMaps, Events, Leases, Namespaces } from '#kubernetes/kinds.ts';
import { type LeaderElection, type LeaseTiming, runLeaderElection } from '#kubernetes/lease.ts';
import type { KubeObject } from '#kubernetes/types.ts';
import { type ApiServer, startApiServer } from '#test/support/apiserver.ts';
import { eventually } from '#test/support/eventually.ts';

const namespace = 'lease-test';
const timing: Partial<LeaseTiming> = { leaseMs: 2_000, retryMs: 100 };

interface LeaseObject extends KubeObject {
  spec: { holderIdentity?: string; leaseTransitions?: number };
}

describe('leader election and events on a real API server', function () {
  this.timeout(60_000);
  let server: ApiServer;
  let client: Client;
  const running: LeaderElection[] = [];
  const log: string[] = [];

  before(async function () {
    this.timeout(120_000);
    server = await startApiServer();
    client = createClient(server.clientOptions);
    await client.create(Namespaces, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } });
  });
  afterEach(async () => {
    await Promise.all(running.splice(0).map((election) => election.stop()));
    log.length = 0;
  });
  after(async () => {
    client?.close();
    await server?.stop();
  });

  function stand(identity: string, name: string, through: Client = client): LeaderElection {
    const election = runLeaderElection({
      client: through,
      namespace,
      name,
      identity,
      timing,
      onStarted: (signal) => {
        log.push(`${identity} leads`);
        signal.addEventListener('abort', () => log.push(`${identity} stops writing`));
      },
      onLost: (reason) => log.push(`${identity} lost: ${reason}`),
    });
    running.push(election);
    return election;
  }
  const leads = (election: LeaderElection): Promise<boolean> =>
    eventually('it leads', async () => election.isLeader, { everyMs: 20, state: async () => log.join('; ') });

  it('lets one of two lead, and hands over at once when it steps down', async () => {
    const first = stand('first', 'handover');
    await leads(first);
    const second = stand('second', 'handover');
    await eventually('the second sees the first', async () => second.leader === 'first', { everyMs: 20 });
    assert.equal(second.isLeader, false);
    const at = performance.now();
    await first.stop();
    await leads(second);
    assert.ok(performance.now() - at < 1_500, 'a Lease that was given free is taken without waiting for its end');
    assert.deepEqual(log, ['first leads', 'first stops writing', 'second leads']);
    const lease = await client.get<LeaseObject>(Leases, 'handover', namespace);
    assert.equal(lease?.spec.holderIdentity, 'second');
  });

  it('moves on when the leader loses the API server, and never has two that write', async () => {
    const cut = createClient({ kubeconfig: await server.kubeconfigFor({}) });
    let gone = false;
    const unreliable: Client = {
      ...cut,
      get: (...call) => (gone ? Promise.reject(new Error('unplugged')) : cut.get(...call)),
      replace: (...call) => (gone ? Promise.reject(new Error('unplugged')) : cut.replace(...call)),
    };
    const first = stand('first', 'failover', unreliable);
    await leads(first);
    const second = stand('second', 'failover');
    await eventually('the second sees the first', async () => second.leader === 'first', { everyMs: 20 });
    gone = true;
    await leads(second);
    assert.equal(first.isLeader, false);
    assert.deepEqual(log, ['first leads', 'first stops writing', 'first lost: renew-deadline', 'second leads']);
    gone = false;
    await eventually('the first sees the second', async () => first.leader === 'second', { everyMs: 20 });
    assert.equal(first.isLeader, false);
    const lease = await client.get<LeaseObject>(Leases, 'failover', namespace);
    assert.equal(lease?.spec.leaseTransitions, 1);
    cut.close();
  });

  it('steps down when another identity was written into its Lease', async () => {
    const first = stand('first', 'robbed');
    await leads(first);
    await eventually('the Lease is overwritten', async () => {
      const lease = await client.get<LeaseObject>(Leases, 'robbed', namespace);
      return lease && client.replace(Leases, { ...lease, spec: { ...lease.spec, holderIdentity: 'thief' } });
    });
    await eventually('it steps down', async () => log.includes('first lost: taken'), { everyMs: 20 });
  });

  it('keeps leading while the API server restarts within the deadline, or leads again after', async () => {
    const only = stand('only', 'restart');
    await leads(only);
    await server.restart();
    await leads(only);
    assert.equal((await client.get<LeaseObject>(Leases, 'restart', namespace))?.spec.holderIdentity, 'only');
  });

  it('records events, counts repetitions in their series, and cuts off a flood', async () => {
    const regarding = await client.create<KubeObject>(ConfigMaps, {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'subject', namespace },
    });
    let time = Date.now();
    const errors: unknown[] = [];
    const recorder = createEventRecorder({
      client,
      controller: 'openservicemesh.io/test',
      instance: 'test-0',
      now: () => time,
      onError: (error) => errors.push(error),
    });
    const event = {
      regarding,
      type: 'Warning',
      reason: 'Broken',
      action: 'Checking',
      note: 'ä'.repeat(2_000),
    } as const;
    for (let repetition = 0; repetition < 40; repetition++) recorder.record(event);
    time += 31_000;
    recorder.record(event);
    for (let other = 0; other < 60; other++) recorder.record({ ...event, note: `other ${other}` });
    await recorder.flush();
    assert.deepEqual(errors, []);
    interface StoredEvent extends KubeObject {
      note: string;
      reason: string;
      series?: { count: number };
      regarding: { name: string; uid: string };
    }
    const { items } = await client.list<StoredEvent>(Events, { namespace, fieldSelector: 'reason=Broken' });
    const main = items.find((item) => item.note.startsWith('ä'));
    assert.equal(main?.series?.count, 41);
    assert.equal(main?.regarding.uid, regarding.metadata.uid);
    assert.ok(main && main.note.endsWith('ä…') && Buffer.byteLength(main.note) <= 1_024);
    assert.equal(items.length, 1 + 25, 'a burst of 25 new events passes');
    assert.equal(recorder.dropped, 35);
  });
});
