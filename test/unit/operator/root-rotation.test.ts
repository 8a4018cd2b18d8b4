import assert from 'node:assert/strict';
import { createAuthority } from '#certificates/ca.ts';
import { authorityData } from '#operator/ca-secret.ts';
import { intermediateOf } from '#test/support/authorities.ts';
import { plan } from '#operator/plan/plan.ts';
import { rootVerdict } from '#operator/plan/root-status.ts';
import { day } from './fixtures.ts';
import { minute, RootWorld, second } from './root-world.ts';

const hour = 60 * minute;
const settled = ['ca.crt', 'private.key'];
const sound = (world: RootWorld) => () => assert.deepEqual(world.distrust(), [], world.done.slice(-8).join(', '));
const keysOf = ({ secret }: RootWorld) => Object.keys(secret?.data ?? {}).sort();

describe('operator/plan/root-rotation', () => {
  let world: RootWorld;
  let old: string;
  beforeEach(async () => {
    world = await RootWorld.running();
    old = world.signing;
  });
  const work = (ms: number): Promise<void> => world.work(ms, sound(world));

  it('walks on request: a new root beside, acknowledged, two minutes, the switch, needed no more, ten minutes, gone', async () => {
    world.request = 'first';
    await world.settle();
    assert.deepEqual(world.done, ['root-requested']);
    assert.equal(world.signing, old, 'ca.crt and private.key stay what other tools read there');
    assert.deepEqual(keysOf(world), ['ca.crt', 'private.key', 'standby.crt', 'standby.key']);
    assert.equal(world.verdict().reason, 'AddingRoot');
    assert.match(world.verdict().message, /osm-controller-a \(it has not given it .*osm-controller-b/);

    await work(minute);
    assert.deepEqual(world.done.slice(1), ['root-acknowledged']);
    const waiting = world.rotation();
    assert.ok(waiting.step === 'waiting');
    await work(waiting.switchAt - world.now - 1);
    assert.equal(world.signing, old, 'not a millisecond before');
    await work(minute);
    assert.deepEqual(world.done.slice(2), ['root-trusted', 'root-unneeded']);
    assert.notEqual(world.signing, old);
    assert.ok(world.sidecars.every(({ certificate }) => certificate === world.signing));
    assert.equal(world.root.walk.standby?.fingerprint, old);

    const retiring = world.rotation();
    assert.ok(retiring.step === 'retiring' && retiring.retireAt !== undefined);
    await work(retiring.retireAt - world.now - 1);
    assert.equal(world.rotation().step, 'retiring');
    await work(minute);
    assert.deepEqual(world.done.slice(4), ['root-unused']);
    assert.deepEqual(keysOf(world), settled);
    assert.ok(world.sidecars.every(({ trust }) => trust.length === 1 && trust[0] === world.signing));
    world.done.length = 0;
    await work(hour);
    assert.deepEqual(world.done, [], 'the same request is answered once');
  });

  it('begins by itself at the interval, at two thirds of the life, or never where it is not asked to', async () => {
    const { authority } = world.root;
    const life = authority.notAfter - authority.notBefore;
    world.now = authority.notBefore + (life * 2) / 3;
    await world.settle();
    assert.deepEqual([world.done, world.verdict().reason], [[], 'Off']);
    world.settings = { paused: false };
    assert.deepEqual(world.verdict().reason, 'NotRotating');
    world.now -= 1;
    await world.settle();
    assert.deepEqual(world.done, []);
    world.now = authority.notBefore + 90 * day;
    world.settings = { paused: false, interval: '2160h' };
    await world.settle();
    assert.deepEqual(world.done, ['root-due']);
  });

  it('is taken back before the switch: the old root signs all the while, and the new one is dropped', async () => {
    world.request = 'first';
    await work(minute);
    world.request = 'back';
    await world.settle();
    assert.ok(world.done.includes('root-taken-back'));
    assert.deepEqual([world.verdict().status, world.verdict().reason], ['True', 'TakingBack']);
    await work(15 * minute);
    assert.equal(world.signing, old);
    assert.deepEqual(keysOf(world), settled);
    world.settings = { paused: false, interval: '1h' };
    await work(2 * hour);
    assert.deepEqual(
      [world.signing, world.verdict().reason],
      [old, 'TakenBack'],
      'and nothing begins while it says so',
    );
    world.request = undefined;
    await world.settle();
    assert.equal(world.done.at(-1), 'root-due');
  });

  it('is taken back after the switch, forward again, and back again', async () => {
    world.request = 'first';
    await work(5 * minute);
    const next = world.signing;
    assert.notEqual(next, old);
    for (const [request, signs] of [
      ['back', old],
      ['second', next],
      ['back', old],
    ] as const) {
      world.request = request;
      await work(5 * minute);
      assert.equal(world.signing, signs, request);
      assert.ok(world.sidecars.every(({ certificate }) => certificate === signs));
    }
    await work(15 * minute);
    assert.deepEqual([world.signing, keysOf(world)], [old, settled]);
  });

  it('stands still while paused, and goes on from there', async () => {
    world.request = 'first';
    await work(minute);
    world.settings = { paused: true };
    await work(hour);
    assert.deepEqual([world.signing, world.verdict().reason], [old, 'Paused']);
    const wrong = rootVerdict({ kind: 'invalid', errors: [] }, world.observe());
    assert.deepEqual(
      [wrong.status, wrong.reason],
      ['True', 'MeshConfigInvalid'],
      'a wrong MeshConfig holds it up, too',
    );
    assert.deepEqual(plan({ kind: 'invalid', errors: [] }, world.observe()).steps, []);
    world.settings = { paused: false };
    await work(minute);
    assert.notEqual(world.signing, old);
  });

  it('waits for good for a sidecar that acknowledges nothing, and names it', async () => {
    world.sidecars[1]!.stuck = true;
    world.request = 'first';
    await work(3 * hour);
    assert.equal(world.signing, old);
    assert.match(world.verdict().message, /osm-controller-b \(not acknowledged by shop\/two\)/);
    world.sidecars[1]!.stuck = false;
    await work(5 * minute);
    assert.notEqual(world.signing, old);
  });

  it('waits for good for a replica that says nothing, before the switch and before the end', async () => {
    const silent = world.replicas[0]!;
    silent.silent = true;
    world.request = 'first';
    await work(hour);
    assert.equal(world.signing, old);
    assert.match(world.verdict().message, /osm-controller-a \(it reports nothing\)/);
    silent.silent = false;
    await work(4 * minute);
    assert.notEqual(world.signing, old);
    silent.silent = true;
    await work(hour);
    assert.equal(world.root.walk.standby?.fingerprint, old);
    assert.match(world.verdict().message, /osm-controller-a \(it reports nothing\)/);
  });

  it('counts anew when something is missing in between, and when nobody has looked', async () => {
    world.request = 'first';
    await work(minute);
    assert.equal(world.rotation().step, 'waiting');
    world.replicas[0]!.silent = true;
    await work(10 * second);
    assert.equal(world.done.at(-1), 'root-not-acknowledged');
    world.replicas[0]!.silent = false;
    await work(minute);
    const before = world.rotation();
    assert.ok(before.step === 'waiting');
    world.now += hour;
    await world.settle();
    assert.deepEqual(world.rotation(), { step: 'waiting', switchAt: world.now + 2 * minute });
  });

  it('believes no replica that has just begun: after an outage of all, sidecars are in nobody’s report', async () => {
    for (const replica of world.replicas) world.restart(replica);
    world.request = 'first';
    await world.settle();
    assert.match(world.verdict().message, /osm-controller-a \(it has just begun\)/);
    // Before a sidecar has come back, all are gone, and the operator too.
    world.now += hour;
    for (const replica of world.replicas) world.restart(replica);
    await world.settle();
    world.advance(1, sound(world));
    assert.equal(world.signing, old);
    await work(6 * minute);
    assert.notEqual(world.signing, old);
  });

  it('does nothing while no pod of the controller runs', async () => {
    world.request = 'first';
    await world.settle();
    world.replicas.length = 0;
    await world.work(hour);
    assert.deepEqual(world.done, ['root-requested']);
    assert.match(world.verdict().message, /no pod runs/);
  });

  it('keeps the old root for as long as a sidecar may show a certificate that leads to it', async () => {
    world.request = 'first';
    await work(2 * minute);
    const last = world.sidecars[0]!;
    await world.work(30 * second, () => (last.stuck = world.signing !== old));
    await work(hour);
    assert.equal(last.certificate, old);
    assert.equal(world.root.walk.standby?.fingerprint, old);
    assert.match(world.verdict().message, /osm-controller-a \(not acknowledged by shop\/one\)/);
  });

  it('leaves alone what is not the operator’s: a user’s CA, and a mesh where a MeshRootCertificate says who signs', async () => {
    world.settings = { paused: false, interval: '1h' };
    world.request = 'first';
    const root = { name: 'vault', secrets: [], authority: undefined };
    world.rootCertificates = [{ ...root, role: 'active' }];
    await world.work(2 * hour);
    assert.deepEqual([world.done, world.verdict().reason], [[], 'NotOurs']);
    world.rootCertificates = [{ ...root, role: 'passive' }];
    assert.equal(world.verdict().reason, 'NotRotating');
    world.rootCertificates = [{ ...root, role: 'active', authority: 'osm-ca-bundle' }];
    assert.equal(world.verdict().reason, 'NotRotating');
    world.replace(authorityData(await createAuthority({ now: world.now, commonName: 'of a user' })));
    await world.work(2 * hour);
    assert.deepEqual([world.done, world.verdict().reason], [[], 'NotOurs']);
  });

  it('half-way, an active MeshRootCertificate holds it up, and it goes on without', async () => {
    world.request = 'first';
    await work(minute);
    world.rootCertificates = [{ name: 'vault', role: 'active', secrets: [], authority: undefined }];
    await work(hour);
    assert.deepEqual([world.signing, world.verdict().status, world.verdict().reason], [old, 'True', 'NotInUse']);
    world.rootCertificates = [];
    await work(minute);
    assert.notEqual(world.signing, old);
  });

  it('a user’s CA put in place half-way is not replaced: the root beside it goes when nobody needs it', async () => {
    const root = await createAuthority({ now: Date.now(), commonName: 'of a user' });
    for (const theirs of [root, await intermediateOf(root, 'with a chain')]) {
      world = await RootWorld.running();
      world.request = 'first';
      await work(minute);
      world.replace({ ...world.secret?.data, ...authorityData(theirs) });
      await world.work(hour);
      assert.deepEqual(
        [world.signing, keysOf(world), world.verdict().reason],
        [theirs.fingerprint, settled, 'NotOurs'],
      );
    }
  });

  it('never lets an expired root, or one without its key, take over', async () => {
    for (const spoil of [
      () => world.replace(without(world.secret?.data, 'standby.key')),
      () => (world.now = world.root.walk.standby!.notAfter),
    ]) {
      world = await RootWorld.running();
      old = world.signing;
      world.request = 'first';
      await world.work(minute);
      spoil();
      await world.work(20 * minute);
      assert.equal(world.signing, old);
      assert.deepEqual(keysOf(world), settled);
    }
  });

  it('a root beside it that cannot be read is as good as none', async () => {
    world.replace({ ...world.secret?.data, 'standby.crt': Buffer.from('text').toString('base64') });
    assert.equal(world.verdict().reason, 'Off');
    world.request = 'first';
    await work(5 * minute);
    assert.notEqual(world.signing, old);
  });

  it('takes no time from a clock that was ahead', async () => {
    world.request = 'first';
    await work(minute);
    world.now -= hour;
    await world.settle();
    assert.equal(world.signing, old);
    assert.equal(world.done.at(-1), 'root-acknowledged', 'counted anew');
  });
});

function without(data: Readonly<Record<string, string>> = {}, key: string): Record<string, string> {
  return Object.fromEntries(Object.entries(data).filter(([each]) => each !== key));
}
