/** Which sidecars a change reaches, and in which order, with real streams whose clients answer in memory. */
import assert from 'node:assert/strict';
import { createDistribution, type Distribution } from '#controller/distribution.ts';
import type { MeshObjects, PodObject } from '#mesh/objects.ts';
import { cluster, pod, port, service, SETTINGS, slice, split, target } from '#test/unit/mesh/builders.ts';
import { largeMesh } from '#test/unit/mesh/large.ts';
import { request, resource, SHORT } from '#test/unit/xds-server/support.ts';
import { resourceMap } from '#xds/cache/snapshot.ts';
import type { Resource } from '#xds/resource.ts';
import type { DeltaResponse } from '#xds/server/messages.ts';
import { ProxyStream } from '#xds/server/stream.ts';
import { translateEndpoints, translateView } from '#xds/translate/translate.ts';

const secrets = resourceMap(['workload', 'roots'].map((name) => resource(SHORT.sds, name)));
const permissive = { ...SETTINGS, permissive: true };

/** A distribution over pods, the views and endpoints that were translated, and all that sidecars were sent, in order. */
function mesh(objects: MeshObjects, otherReplicasMs = 1) {
  const pods = new Map(objects.pods.map((each) => [`${each.namespace}/${each.name}`, each]));
  const log: string[] = [];
  const translated: string[] = [];
  const made = new Set<Resource>();
  const distribution = createDistribution({
    translate: {
      view: (view) => {
        const resources = translateView(view);
        for (const each of resources) made.add(each);
        return resources;
      },
      endpoints: (assignment) => {
        translated.push(assignment.cluster);
        return translateEndpoints(assignment);
      },
    },
    secrets: (_, onSecrets) => {
      onSecrets(secrets);
      return () => undefined;
    },
    pod: (namespace, name) => pods.get(`${namespace}/${name}`),
    zoneOf: () => '',
    requestRevision: () => undefined,
    serversFirstMs: 2000,
    // Long enough to look at what is kept on a machine that is busy, too.
    leavingMs: 500,
    otherReplicasMs,
  });
  return { distribution, pods, log, translated, made, connect: (of: PodObject) => connect(distribution, of, log) };
}

/** A sidecar that asks as Envoy does and accepts all, each response in a turn of its own. */
function connect(distribution: Distribution, { namespace, name, uid, account }: PodObject, log: string[]): ProxyStream {
  const proxy = { namespace, pod: name, podUid: uid, account, accountUid: account };
  const held = new Set<string>();
  const answer = ({ type, nonce, resources, removed }: DeltaResponse): void => {
    const short = Object.entries(SHORT).find(([, url]) => url === type)?.[0] ?? type;
    const names = [...resources.map((each) => `+${each.name}`), ...removed.map((each) => `-${each}`)];
    log.push(`${name} ${short} ${names.join(' ')}`);
    stream.receive(request({ type, nonce }));
    const fresh = resources.filter((each) => !held.has(`${type} ${each.name}`));
    for (const each of fresh) held.add(`${type} ${each.name}`);
    const eds = type === SHORT.cds ? fresh.flatMap((each) => each.endpoints ?? []) : [];
    if (eds.length > 0) stream.receive(request({ type: SHORT.eds, subscribe: eds }));
    distribution.acked(stream);
  };
  const stream = new ProxyStream(proxy, new Set(), {
    now: () => 0,
    acked: () => undefined,
    nacked: (nack) => assert.fail(nack.error),
    write(response) {
      setImmediate(answer, response);
      return true;
    },
  });
  distribution.connect(stream, (snapshot) => stream.update(snapshot));
  for (const type of [SHORT.cds, SHORT.lds]) stream.receive(request({ type }));
  stream.receive(request({ type: SHORT.sds, subscribe: ['workload', 'roots'] }));
  stream.receive(
    request({ type: SHORT.rds, subscribe: ['outbound.80', 'inbound.shop/web.80', 'inbound.shop/new.80'] }),
  );
  return stream;
}

describe('distribution', () => {
  const web = service('shop/web');
  const [one, two, caller] = [pod('shop/web-1', 'web'), pod('shop/web-2', 'web'), pod('shop/caller-1', 'caller')];
  const base = cluster({ services: [web], pods: [one, two, caller], config: permissive });

  it('brings an endpoint change as that assignment alone', async () => {
    const { distribution, log, connect } = mesh(base);
    const { settled } = await distribution.revise(base);
    const streams = [connect(one), connect(caller)];
    assert.ok(await settled(1000));
    assert.ok(await (await distribution.revise(base)).settled(2000));
    await until(() => streams.every((stream) => stream.settled()));
    log.length = 0;
    const told = await distribution.updateEndpoints([
      { namespace: 'shop', service: 'web', slices: [slice(web, [one])] },
    ]);
    assert.ok(told);
    assert.ok(await told.settled(2000));
    const [eds] = [...(distribution.snapshotOf(streams[0] ?? assert.fail())?.[SHORT.eds].keys() ?? [])];
    assert.deepEqual(log.toSorted(), [`caller-1 eds +${eds}`, `web-1 eds +${eds}`]);
  });

  it('does nothing for an endpoint change that changes nothing, and leaves to a revision what changes views', async () => {
    const { distribution, connect } = mesh(base);
    await distribution.revise(base);
    const stream = connect(caller);
    await until(() => stream.settled());
    const same = await distribution.updateEndpoints([
      { namespace: 'shop', service: 'web', slices: [slice(web, [one, two])] },
    ]);
    assert.deepEqual(same?.told, []);
    const before = distribution.snapshotOf(stream);
    const foreign = await distribution.updateEndpoints([
      { namespace: 'shop', service: 'web', slices: [slice(web, [one, caller])] },
    ]);
    assert.equal(foreign, undefined);
    assert.equal(distribution.snapshotOf(stream), before);
  });

  for (const services of [20, 200]) {
    it(`translates one assignment for an endpoint change among ${services} services`, async () => {
      const objects = largeMesh({ namespaces: 1, services, podsEach: 2, targets: 0, splits: 0 }, true);
      const { distribution, translated, connect } = mesh(objects);
      await distribution.revise(objects);
      const streams = objects.pods.slice(0, 4).map(connect);
      await until(() => streams.every((stream) => stream.settled()));
      translated.length = 0;
      const [of, other] = [objects.services[0] ?? assert.fail(), objects.pods[1] ?? assert.fail()];
      const told = await distribution.updateEndpoints([
        { namespace: of.namespace, service: of.name, slices: [slice(of, [other])] },
      ]);
      assert.equal(told?.told.length, 4);
      assert.equal(translated.length, 1);
    });
  }

  it('has the backend of a new split know the apex’s names first, and forget them last', async () => {
    const apex = service('shop/apex', { selector: { app: 'web' }, ports: [port(80)] });
    const whole = { services: [web, apex], pods: [one, two, caller], config: permissive };
    const [without, divided] = [
      cluster(whole),
      cluster({ ...whole, trafficSplits: [split('shop/split', 'apex', { web: 1 })] }),
    ];
    const { distribution, log, connect } = mesh(without);
    await distribution.revise(without);
    const streams = [connect(caller), connect(one)];
    await until(() => streams.every((stream) => stream.settled()));
    const routesOf = (who: string): number => log.findIndex((line) => line.startsWith(`${who} rds`));
    const knows = (): boolean => webHosts(distribution, streams[1]).includes('apex.shop');

    assert.equal(knows(), false);
    log.length = 0;
    assert.ok(await (await distribution.revise(divided)).settled(2000));
    assert.ok(knows());
    assert.ok(routesOf('web-1') >= 0 && routesOf('web-1') < routesOf('caller-1'), log.join('\n'));

    log.length = 0;
    assert.ok(await (await distribution.revise(without)).settled(2000));
    assert.ok(knows());
    await until(() => !knows() && streams.every((stream) => stream.settled()));
    assert.ok(routesOf('caller-1') >= 0 && routesOf('caller-1') < routesOf('web-1'), log.join('\n'));
  });

  it('touches with one TrafficTarget more its source and its destination, and makes nothing anew for the others', async () => {
    const objects = largeMesh({ namespaces: 4, services: 40, podsEach: 2, targets: 40, splits: 2 }, false);
    const added = target('ns-0/new', ['ns-3/app-3'], 'ns-0/app-4', 'HTTPRouteGroup/routes');
    const { distribution, log, made, connect } = mesh(objects);
    await distribution.revise(objects);
    const streams = objects.pods.map(connect);
    for (const stream of streams) {
      const routes = [...(distribution.snapshotOf(stream)?.[SHORT.rds].keys() ?? [])];
      stream.receive(request({ type: SHORT.rds, subscribe: routes }));
    }
    await until(() => streams.every((stream) => stream.settled()));
    const before = new Set(made);
    log.length = 0;
    await distribution.revise({ ...objects, trafficTargets: [...objects.trafficTargets, added] });
    await until(() => streams.every((stream) => stream.settled()));
    const touched = new Set(log.map((line) => line.split(' ')[0]?.replace(/-\d$/, '')));
    assert.deepEqual(touched, new Set(['app-3', 'app-4']));
    const anew = [...made].filter((resource) => !before.has(resource)).map(({ name }) => name.split('|')[0]);
    // The source's cluster and routes are another source's already; the destination's listener comes out as it was.
    assert.equal(anew.length, 3);
    assert.deepEqual(new Set(anew), new Set(['inbound', 'inbound.ns-0/app-4.8084', 'outbound']));
  });

  it('has clients of a new backend wait for other replicas, whose sidecar it may be, and those of new weights not', async () => {
    const apex = service('shop/apex', { selector: { app: 'web' }, ports: [port(80)] });
    const whole = { services: [web, apex], pods: [one, two, caller], config: permissive };
    const divided = (weights: Record<string, number>): MeshObjects =>
      cluster({ ...whole, trafficSplits: [split('shop/split', 'apex', weights)] });
    const waitMs = 80;
    const { distribution, log, connect } = mesh(cluster(whole), waitMs);
    await distribution.revise(cluster(whole));
    const stream = connect(caller);
    await until(() => stream.settled());
    log.length = 0;
    const started = performance.now();
    const revised = distribution.revise(divided({ web: 1, apex: 0 }));
    await until(() => log.some((line) => line.startsWith('caller-1 rds')));
    assert.ok(performance.now() - started >= waitMs, log.join('\n'));
    await revised;

    const unhurried = mesh(divided({ web: 1, apex: 0 }), 60_000);
    await unhurried.distribution.revise(divided({ web: 1, apex: 0 }));
    const other = unhurried.connect(caller);
    await until(() => other.settled());
    unhurried.log.length = 0;
    await unhurried.distribution.revise(divided({ web: 1, apex: 3 }));
    await until(() => unhurried.log.some((line) => line.startsWith('caller-1 rds')));
  });

  it('has a server keep names for a while also when no client of its own replica is concerned', async () => {
    const apex = service('shop/apex', { selector: { app: 'web' }, ports: [port(80)] });
    const whole = { services: [web, apex], pods: [one, two, caller] }; // SMI mode: nobody may call anything
    const without = cluster(whole);
    const divided = cluster({ ...whole, trafficSplits: [split('shop/split', 'apex', { web: 1 })] });
    const { distribution, connect } = mesh(divided);
    await distribution.revise(divided);
    const stream = connect(one);
    await until(() => stream.settled());
    assert.ok(await (await distribution.revise(without)).settled(2000));
    assert.ok(webHosts(distribution, stream).includes('apex.shop'), 'another replica may have told nobody yet');
    await until(() => !webHosts(distribution, stream).includes('apex.shop') && stream.settled());
  });

  it('gives a new service to its server first, and takes a removed one from it last', async () => {
    const fresh = service('shop/new', { selector: { app: 'web' }, ports: [port(80)] });
    const endpointSlices = [slice(web, [one, two]), slice(fresh, [one, two])];
    const pods = [one, two, caller];
    const withNew = cluster({ services: [web, fresh], pods, endpointSlices, config: permissive });
    const { distribution, log, connect } = mesh(base);
    await distribution.revise(base);
    const streams = [connect(caller), connect(one)];
    await until(() => streams.every((stream) => stream.settled()));
    const at = (who: string, what: string): number => {
      const found = log.findIndex((line) => line.startsWith(who) && line.includes(what));
      assert.ok(found >= 0, `${who} ${what} is not in\n${log.join('\n')}`);
      return found;
    };
    log.length = 0;
    assert.ok(await (await distribution.revise(withNew)).settled(2000));
    assert.ok(at('web-1', 'lds +inbound') < at('caller-1', 'cds +shop/new|80'));

    log.length = 0;
    assert.ok(await (await distribution.revise(base)).settled(2000));
    await until(() => log.some((line) => line.startsWith('web-1 lds +inbound')));
    assert.ok(at('caller-1', 'cds -shop/new|80') < at('web-1', 'lds +inbound'), log.join('\n'));
  });
});

/** The bytes of a sidecar's routes to shop/web, in which host names stand as they are. */
function webHosts(distribution: Distribution, stream: ProxyStream | undefined): Buffer {
  const routes = distribution.snapshotOf(stream ?? assert.fail())?.[SHORT.rds].get('inbound.shop/web.80');
  return Buffer.from(routes?.bytes ?? assert.fail('no routes'));
}

async function until(holds: () => boolean): Promise<void> {
  const deadline = Date.now() + 5000;
  while (!holds()) {
    assert.ok(Date.now() < deadline, 'the streams did not settle within 5 s');
    await new Promise((resolve) => setImmediate(resolve));
  }
}
