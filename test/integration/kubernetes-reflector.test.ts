import assert from 'node:assert/strict';
import { type Client, createClient } from '#kubernetes/client.ts';
import { ConfigMaps, Namespaces } from '#kubernetes/kinds.ts';
import { createReflector } from '#kubernetes/reflector.ts';
import type { KubeObject, Reflector, ReflectorTiming, StoreChange } from '#kubernetes/types.ts';
import { type ApiServer, startApiServer } from '#test/support/apiserver.ts';
import { eventually } from '#test/support/eventually.ts';
import { startProxy } from '#test/support/tcp-proxy.ts';

const namespace = 'reflector-test';
const quick: Partial<ReflectorTiming> = { firstWaitMs: 20, longestWaitMs: 300 };

describe('the reflector on a real API server', function () {
  this.timeout(60_000);
  let server: ApiServer;
  let client: Client;
  const cleanUp: (() => void | Promise<void>)[] = [];

  before(async function () {
    this.timeout(120_000);
    server = await startApiServer();
    client = createClient(server.clientOptions);
    await client.create(Namespaces, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } });
  });
  afterEach(async () => {
    for (const undo of cleanUp.splice(0)) await undo();
    const { items } = await client.list(ConfigMaps, { namespace });
    await Promise.all(items.map((item) => client.delete(ConfigMaps, item.metadata.name, namespace)));
  });
  after(async () => {
    client?.close();
    await server?.stop();
  });

  /** A reflector of the test's config maps, with all that it did, in order. */
  function observe(through: Client = client, timing: Partial<ReflectorTiming> = {}): Observed {
    const changes: string[] = [];
    const transitions: string[] = [];
    const reflector = createReflector<string>({
      client: through,
      kind: ConfigMaps,
      list: { namespace },
      transform: (object) => object.data?.['value'],
      onTransition: ({ name }) => transitions.push(name),
      timing: { ...quick, ...timing },
    });
    reflector.store.subscribe((change) => changes.push(words(change)));
    cleanUp.push(() => reflector.stop());
    reflector.start();
    return { reflector, changes, transitions };
  }
  const put = (name: string, value: string): Promise<KubeObject> =>
    client.apply(ConfigMaps, configMap(name, { value }), { fieldManager: 'test', force: true });
  const remove = (name: string): Promise<boolean> => client.delete(ConfigMaps, name, namespace);
  const holds = (observed: Observed, expected: Record<string, string>): Promise<boolean> =>
    eventually('the store holds what the server holds', async () => same(contents(observed.reflector), expected), {
      deadlineMs: 30_000,
      everyMs: 20,
      state: async () => JSON.stringify({ has: contents(observed.reflector), ...observed }),
    });

  it('lists, then follows additions, changes and deletions', async () => {
    await put('old', '1');
    const observed = observe();
    assert.equal(observed.reflector.isSynced, false);
    await observed.reflector.synced;
    assert.deepEqual(contents(observed.reflector), { old: '1' });
    await put('new', '1');
    await put('new', '2');
    await remove('old');
    await holds(observed, { new: '2' });
    assert.deepEqual(observed.changes, ['added old=1', 'added new=1', 'updated new=1→2', 'deleted old=1']);
  });

  it('keeps nothing of an object that its transform gives up, and drops one that it once kept', async () => {
    const observed = observe();
    await observed.reflector.synced;
    await put('kept', '1');
    await holds(observed, { kept: '1' });
    await client.apply(ConfigMaps, configMap('kept', {}), { fieldManager: 'test', force: true });
    await holds(observed, {});
    assert.deepEqual(observed.changes, ['added kept=1', 'deleted kept=1']);
  });

  it('hands on objects without managedFields and last-applied', async () => {
    const seen: KubeObject[] = [];
    const annotations = { 'kubectl.kubernetes.io/last-applied-configuration': '{}', mine: 'kept' };
    await client.create(ConfigMaps, { ...configMap('plain', {}), metadata: { name: 'plain', namespace, annotations } });
    const reflector = createReflector({
      client,
      kind: ConfigMaps,
      list: { namespace },
      transform: (object) => seen.push(object),
    });
    cleanUp.push(() => reflector.stop());
    reflector.start();
    await reflector.synced;
    assert.deepEqual(seen[0]?.metadata.annotations, { mine: 'kept' });
    assert.ok(seen[0] && !('managedFields' in seen[0].metadata));
    assert.equal(seen[0].apiVersion, 'v1');
  });

  it('misses and doubles nothing when its connection is cut in the middle of a line, again and again', async () => {
    const proxy = await startProxy(Number(new URL(server.url).port));
    const through = createClient({
      kubeconfig: await server.kubeconfigFor({ url: `https://127.0.0.1:${proxy.port}` }),
    });
    cleanUp.push(
      () => through.close(),
      () => proxy.stop(),
    );
    const observed = observe(through);
    await observed.reflector.synced;
    await put('small', '1');
    await holds(observed, { small: '1' });
    // An event of this size spans many TLS records: what passes before the cut is whole records and half a line.
    const large = 'x'.repeat(400_000);
    const expected: Record<string, string> = { small: '1' };
    for (let round = 0; round < 4; round++) {
      const cut = proxy.cutAfter(100_000);
      await put(`large-${round}`, large);
      expected[`large-${round}`] = large;
      await cut;
      await holds(observed, expected);
    }
    assert.deepEqual(
      observed.changes.map((change) => change.slice(0, 14)),
      ['added small=1', 'added large-0=', 'added large-1=', 'added large-2=', 'added large-3='],
    );
    assert.ok(observed.transitions.filter((name) => name === 'watch-failed').length >= 4);
    assert.equal(observed.transitions.filter((name) => name === 'list-done').length, 1, 'a cut needs no new list');
  });

  it('tells a story that leads to the truth, through writes, cuts at any byte and a restart', async () => {
    const proxy = await startProxy(Number(new URL(server.url).port));
    const through = createClient({
      kubeconfig: await server.kubeconfigFor({ url: `https://127.0.0.1:${proxy.port}` }),
    });
    cleanUp.push(
      () => through.close(),
      () => proxy.stop(),
    );
    const observed = observe(through);
    const told = new Map<string, string>();
    observed.reflector.store.subscribe((change) => {
      assert.equal(change.type === 'added' ? undefined : change.previous, told.get(change.key), change.key);
      if (change.type === 'deleted') told.delete(change.key);
      else told.set(change.key, change.object);
    });
    await observed.reflector.synced;
    const expected: Record<string, string> = {};
    let draw = 7; // a fixed sequence: a failure can be had again
    const next = (below: number): number => (draw = (draw * 48_271) % 2_147_483_647) % below;
    for (let step = 0; step < 250; step++) {
      if (step % 10 === 0) void proxy.cutAfter(next(20_000));
      if (step === 125) await server.restart();
      const name = `k${next(12)}`;
      if (next(4) === 0) {
        await remove(name);
        delete expected[name];
      } else {
        expected[name] = `${step}-${'y'.repeat(next(3_000))}`;
        await put(name, expected[name]);
      }
    }
    await holds(observed, expected);
    const keys = Object.keys(expected).map((name) => [`${namespace}/${name}`, expected[name]] as const);
    assert.deepEqual(told, new Map(keys));
    assert.ok(!observed.transitions.includes('listener-failed'), 'each change follows from the one before');
    assert.ok(observed.transitions.filter((name) => name === 'watch-failed').length >= 5);
  });

  it('asks anew after silence, and takes it for a failure only when nobody answers', async () => {
    const proxy = await startProxy(Number(new URL(server.url).port));
    const through = createClient({
      kubeconfig: await server.kubeconfigFor({ url: `https://127.0.0.1:${proxy.port}` }),
    });
    cleanUp.push(
      () => through.close(),
      () => proxy.stop(),
    );
    const seen: { name: string; detail: string }[] = [];
    const reflector = createReflector<string>({
      client: through,
      kind: ConfigMaps,
      list: { namespace },
      transform: (object) => object.data?.['value'],
      onTransition: ({ name, detail }) => seen.push({ name, detail }),
      timing: { ...quick, idleMs: 400 },
    });
    const silences = (): number => seen.filter(({ name }) => name === 'watch-silent').length;
    const failures = (): string[] => seen.flatMap(({ name, detail }) => (name === 'watch-failed' ? [detail] : []));
    cleanUp.push(() => reflector.stop());
    reflector.start();
    await reflector.synced;
    // A quiet kind on a sound connection: what this server does all day must not look like trouble.
    await eventually('a quiet watch is asked anew', async () => silences() >= 2, { deadlineMs: 10_000, everyMs: 20 });
    assert.deepEqual(failures(), []);
    proxy.freeze(); // open, and nothing comes: what a firewall that forgot the connection looks like
    await put('unheard', '1');
    await eventually('the dead watch is given up', async () => failures().some((text) => text.includes('400 ms')), {
      deadlineMs: 10_000,
      everyMs: 20,
    });
    proxy.thaw();
    await eventually('what was missed arrives', async () => reflector.store.get(`${namespace}/unheard`) === '1', {
      deadlineMs: 10_000,
      everyMs: 20,
    });
  });

  it('lists again after 410, and tells only what changed meanwhile', async () => {
    await put('stays', '1');
    await put('changes', '1');
    await put('goes', '1');
    await put('renewed', '1');
    const proxy = await startProxy(Number(new URL(server.url).port));
    const through = createClient({
      kubeconfig: await server.kubeconfigFor({ url: `https://127.0.0.1:${proxy.port}` }),
    });
    cleanUp.push(
      () => through.close(),
      () => proxy.stop(),
    );
    const observed = observe(through);
    await observed.reflector.synced;
    observed.changes.length = 0;
    proxy.refuse();
    await put('changes', '2');
    await remove('goes');
    await remove('renewed');
    await put('renewed', '1');
    await put('comes', '1');
    await server.compact();
    await server.restart(); // its watch cache begins anew, after what was compacted
    proxy.accept();
    await holds(observed, { stays: '1', changes: '2', renewed: '1', comes: '1' });
    assert.deepEqual(observed.changes.sort(), [
      'added comes=1',
      'added renewed=1',
      'deleted goes=1',
      'deleted renewed=1',
      'updated changes=1→2',
    ]);
    assert.ok(observed.transitions.includes('expired'), observed.transitions.join());
  });

  it('recovers when the API server restarts, and misses and doubles nothing', async () => {
    const observed = observe();
    await observed.reflector.synced;
    const expected: Record<string, string> = {};
    for (let round = 0; round < 2; round++) {
      for (let index = 0; index < 5; index++) {
        await put(`r${round}-${index}`, '1');
        expected[`r${round}-${index}`] = '1';
      }
      await server.restart();
    }
    await put('last', '1');
    await holds(observed, { ...expected, last: '1' });
    assert.deepEqual(
      observed.changes.sort(),
      Object.keys({ ...expected, last: '' })
        .sort()
        .map((name) => `added ${name}=1`)
        .sort(),
    );
  });

  it('starts before the server does, and before the kind exists', async () => {
    await server.kill();
    const observed = observe();
    await eventually('the first list fails', async () => observed.transitions.includes('list-failed'), { everyMs: 20 });
    await server.restart();
    await put('late', '1');
    await holds(observed, { late: '1' });
    assert.equal(observed.reflector.isSynced, true);
  });

  it('renews its watch when the server ends it, and stays quiet about it', async () => {
    const observed = observe(client, { watchSeconds: 2, random: () => 0 });
    await observed.reflector.synced;
    await eventually('two watches ended', async () => {
      await put('tick', String(observed.transitions.length));
      return observed.transitions.filter((name) => name === 'watch-ended').length >= 2;
    });
    assert.ok(!observed.transitions.includes('watch-failed'), observed.transitions.join());
  });

  it('is silent after stop', async () => {
    const observed = observe();
    await observed.reflector.synced;
    observed.reflector.stop();
    await put('after', '1');
    const other = observe();
    await holds(other, { after: '1' });
    assert.deepEqual(observed.changes, []);
    assert.ok(!observed.transitions.includes('watch-failed'));
  });
});

interface Observed {
  readonly reflector: Reflector<string>;
  readonly changes: string[];
  readonly transitions: string[];
}

function configMap(name: string, data: Record<string, string>): KubeObject {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace }, data };
}

function words(change: StoreChange<string>): string {
  const name = change.key.slice(namespace.length + 1);
  if (change.type === 'added') return `added ${name}=${change.object}`;
  if (change.type === 'deleted') return `deleted ${name}=${change.previous}`;
  return `updated ${name}=${change.previous}→${change.object}`;
}

/** Config maps by name; read back through the index of keys that the test knows. */
function contents(reflector: Reflector<string>): Record<string, string> {
  const found: [string, string][] = [];
  for (const key of reflector.store.keys())
    found.push([key.slice(namespace.length + 1), reflector.store.get(key) ?? '']);
  return Object.fromEntries(found.sort(([a], [b]) => (a < b ? -1 : 1)));
}

function same(actual: Record<string, string>, expected: Record<string, string>): boolean {
  const sorted = (record: Record<string, string>): string =>
    JSON.stringify(
      Object.keys(record)
        .sort()
        .map((name) => [name, record[name]]),
    );
  return sorted(actual) === sorted(expected);
}
