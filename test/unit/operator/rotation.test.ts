import assert from 'node:assert/strict';
import fc from 'fast-check';
import { createAuthority } from '#certificates/ca.ts';
import { authorityData } from '#operator/ca-secret.ts';
import { day } from './fixtures.ts';
import { hour, minute, second, World } from './rotation-world.ts';

const sound = (world: World) => () => assert.deepEqual(world.distrust(), [], world.done.slice(-8).join(', '));

/** Lets the operator and the kubelets work for that long, looking often. */
async function work(world: World, ms: number): Promise<void> {
  const end = world.now + ms;
  await world.settle(sound(world));
  while (world.now < end) {
    world.advance(Math.min(Math.max(20 * minute, ms / 5), end - world.now));
    sound(world)();
    await world.settle(sound(world));
  }
}

describe('operator/plan/rotation', () => {
  it('walks: new CA, both roots, an hour, the switch, a day, the old root gone', async () => {
    const world = await World.running();
    const old = world.caSecret.data?.['ca.crt'];
    world.request = 'first';
    const waiting = await world.settle(sound(world));
    assert.deepEqual(world.done, ['begin', 'trusted']);
    assert.equal(waiting.requeueAfter, hour);
    assert.deepEqual(world.rotation(), { step: 'waiting', switchAt: world.now + hour });
    assert.equal(world.roots, 2);
    assert.equal(world.caSecret.data?.['former.crt'], old);

    world.advance(hour - 1);
    await world.settle(sound(world));
    assert.deepEqual(world.done, ['begin', 'trusted'], 'not a millisecond before');
    world.advance(1);
    await world.settle(sound(world));
    assert.deepEqual(world.done.slice(2), [
      'switch',
      'issue serving-certificate-of-another-ca',
      'issue serving-certificate-of-another-ca',
    ]);
    assert.equal(world.caSecret.data?.['former.key'], undefined, 'the old key is destroyed with the switch');
    const retireAt = world.now + 24 * hour;
    const lagging = world.rotation();
    assert.ok(lagging.step === 'retiring' && lagging.behind.length === 4 && lagging.retireAt === retireAt);

    world.advance(2 * minute);
    assert.deepEqual(world.rotation(), { step: 'retiring', retireAt, behind: [] });
    world.advance(retireAt - world.now - 1);
    await world.settle(sound(world));
    assert.equal(world.roots, 2);
    world.advance(1);
    await world.settle(sound(world));
    assert.equal(world.done.at(-1), 'retire');
    assert.equal(world.rotation().step, 'none');
    assert.equal(world.roots, 1);
    assert.notEqual(world.caSecret.data?.['ca.crt'], old);
    assert.deepEqual(Object.keys(world.caSecret.data ?? {}).sort(), ['ca.crt', 'private.key']);

    world.done.length = 0;
    await work(world, 2 * day);
    assert.deepEqual(world.done, [], 'the same request is answered once');
  });

  it('begins by itself at two thirds of the CA’s life', async () => {
    const world = await World.running();
    const rotation = world.rotation();
    assert.ok(rotation.step === 'none');
    const life = 10 * 365 * day;
    assert.ok(Math.abs(rotation.beginsAt - world.now - (life * 2) / 3) < hour);
    world.advance(rotation.beginsAt - world.now - 1);
    await world.settle();
    assert.equal(world.rotation().step, 'none');
    world.advance(1);
    await world.settle();
    assert.equal(world.rotation().step, 'waiting');
  });

  it('takes a request up after the rotation that is under way, and has never more than two roots', async () => {
    const world = await World.running();
    world.request = 'first';
    await work(world, 2 * hour);
    world.request = 'second';
    let most = 0;
    for (let hours = 0; hours < 60; hours += 5) {
      world.advance(5 * hour);
      await world.settle(sound(world));
      most = Math.max(most, world.roots);
    }
    assert.equal(most, 2);
    assert.deepEqual(
      world.done.filter((text) => !text.startsWith('issue')),
      ['begin', 'trusted', 'switch', 'retire', 'begin', 'trusted', 'switch', 'retire'],
    );
  });

  it('is safe with an operator that dies in every pass after the same step, and goes on with one that does not', async () => {
    const world = await World.running();
    const steps = (await world.settle()).steps.length;
    const held = new Set<string>();
    for (let after = 1; after <= steps; after += 1) {
      world.request = `request ${after}`;
      for (let passes = 0; passes < 8; passes += 1) {
        await world.pass(sound(world), after);
        world.advance(passes % 2 === 0 ? minute : 13 * hour);
        sound(world)();
      }
      held.add(world.rotation().step);
      for (let days = 0; days < 3; days += 1) {
        await world.settle(sound(world));
        world.advance(25 * hour);
      }
      await world.settle(sound(world));
      assert.equal(world.rotation().step, 'none', `after step ${after}`);
    }
    assert.ok(held.has('adding') && held.has('retiring'), [...held].join(', '));
  });

  it('counts the hour anew, before it repairs, when something that holds trust was changed meanwhile', async () => {
    const world = await World.running();
    world.request = 'first';
    await world.settle();
    world.advance(50 * minute);
    const trust = world.objects.get('ConfigMap/shop/osm-trust');
    if (trust === undefined) throw new Error('no trust');
    world.objects.set('ConfigMap/shop/osm-trust', { ...trust, data: { ...trust.data, 'ca.crt': 'something else' } });
    world.done.length = 0;
    await world.pass(() => {}, 1);
    assert.deepEqual(world.done, ['untrusted'], 'an operator that dies here leaves no clock that runs');
    await world.settle();
    assert.deepEqual(world.done, ['untrusted', 'trusted']);
    assert.deepEqual(world.rotation(), { step: 'waiting', switchAt: world.now + hour });
  });

  it('is not held up by a namespace that joins, whose pods have waited for both roots', async () => {
    const world = await World.running();
    world.request = 'first';
    await world.settle();
    world.advance(59 * minute);
    world.namespaces.push('new');
    await world.settle(sound(world));
    world.advance(minute);
    await world.settle(sound(world));
    assert.equal(world.rotation().step, 'retiring');
    assert.ok(world.sidecars.has('new'));
  });

  it('keeps the old root for as long as a replica does not serve the new certificate', async () => {
    const world = await World.running();
    world.request = 'first';
    await work(world, hour);
    const replica = world.replicas.get('osm-injector-2');
    if (replica === undefined) throw new Error('no replica');
    const stuck = replica.content;
    await work(world, minute);
    // Its node has lost the API server for two days.
    for (let hours = 0; hours < 48; hours += 1) {
      world.advance(hour);
      replica.content = stuck;
      await world.settle(sound(world));
    }
    assert.deepEqual(world.behind(), ['osm-injector-2']);
    assert.equal((await world.settle()).requeueAfter, 10 * second);
    replica.staleSince = world.now;
    world.advance(2 * minute);
    await world.settle(sound(world));
    assert.equal(world.rotation().step, 'none');
  });

  it('does not end while a component has no pod that answers', async () => {
    const world = await World.running();
    world.request = 'first';
    await work(world, 2 * hour);
    world.replicas.delete('osm-controller-1');
    world.replicas.delete('osm-controller-2');
    world.advance(2 * day);
    await world.settle();
    assert.deepEqual(world.behind(), ['osm-controller (no pod answers)']);
  });

  it('renews a serving certificate that falls due while it waits with the former key', async () => {
    const world = await World.running();
    world.advance(20 * day - 30 * minute);
    world.request = 'first';
    await world.settle(sound(world));
    world.done.length = 0;
    await work(world, 35 * minute);
    assert.deepEqual(world.done, ['issue serving-certificate-due', 'issue serving-certificate-due']);
    assert.equal(world.rotation().step, 'waiting');
  });

  it('takes no time, and no CA, from a clock that was ahead', async () => {
    const world = await World.running();
    world.request = 'first';
    await world.settle();
    world.now -= 30 * second;
    await world.settle(sound(world));
    assert.deepEqual(world.rotation(), { step: 'waiting', switchAt: world.now + hour }, 'counted anew');
    world.now -= day;
    await world.settle(sound(world));
    const waiting = world.rotation();
    const made = world.observe().controlPlaneCa;
    assert.ok(waiting.step === 'waiting' && made.kind === 'present' && waiting.switchAt === made.authority.notBefore);
    world.advance(waiting.switchAt - world.now);
    await work(world, 3 * minute);
    world.now -= 4 * minute;
    await world.settle(sound(world));
    const again = world.rotation();
    assert.equal(again.step === 'retiring' && again.retireAt, world.now + day);
  });

  describe('a CA that is gone at once', () => {
    it('deleted: what is served goes on and stays trusted, and a new CA takes over at the usual pace', async () => {
      const world = await World.running();
      world.deleteCa();
      await world.settle(sound(world));
      assert.deepEqual(world.done, ['make-ca authority-lost', 'trusted']);
      assert.equal(world.rotation().step, 'waiting');
      await work(world, 30 * hour);
      assert.equal(world.rotation().step, 'none');
      assert.equal(world.roots, 1);
    });

    it('deleted with the certificate of a component: that one is made by the new CA, once everything trusts it', async () => {
      const world = await World.running();
      world.deleteCa();
      world.objects.delete('Secret/osm-system/osm-controller-tls');
      await world.settle();
      assert.deepEqual(world.done, ['make-ca authority-lost', 'trusted', 'issue serving-certificate-missing']);
      assert.equal(world.rotation().step, 'waiting');
    });

    it('deleted with all that it signed: nothing of it stays trusted', async () => {
      const world = await World.running();
      world.deleteCa();
      for (const name of ['osm-injector-tls', 'osm-controller-tls']) world.objects.delete(`Secret/osm-system/${name}`);
      await world.settle();
      const missing = 'issue serving-certificate-missing';
      assert.deepEqual(world.done, ['make-ca authority-missing', missing, missing]);
      assert.equal(world.roots, 1);
      assert.equal(world.rotation().step, 'none');
    });

    it('replaced by a person’s own, as a whole or in place: the same', async () => {
      for (const whole of [true, false]) {
        const world = await World.running();
        await world.replaceCa(whole);
        const wanted = world.caSecret.data?.['ca.crt'];
        await world.settle(sound(world));
        assert.deepEqual(world.done, ['keep-former', 'trusted']);
        await work(world, 30 * hour);
        assert.equal(world.rotation().step, 'none');
        assert.equal(world.caSecret.data?.['ca.crt'], wanted);
      }
    });

    it('replaced between the switch and the first certificate: the new one waits its own hour', async () => {
      const world = await World.running();
      world.request = 'first';
      await world.settle();
      world.advance(hour);
      await world.pass(sound(world), 1);
      assert.equal(world.done.at(-1), 'switch');
      await world.replaceCa(false);
      await world.settle(sound(world));
      assert.deepEqual(world.rotation(), { step: 'waiting', switchAt: world.now + hour });
    });

    it('replaced right after a switch: the times of the rotation before are void', async () => {
      const world = await World.running();
      world.request = 'first';
      await work(world, hour);
      assert.equal(world.rotation().step, 'retiring');
      await world.replaceCa(false);
      world.done.length = 0;
      await world.settle(sound(world));
      assert.deepEqual(world.done, ['keep-former', 'trusted']);
      await work(world, 30 * hour);
      assert.equal(world.rotation().step, 'none');
    });
  });

  // More of them: OSM_TEST_RUNS=100.
  const numRuns = Number(process.env['OSM_TEST_RUNS'] ?? 6);
  const requests = fc.constant({ do: 'request' } as const);
  const passes = fc.record({ do: fc.constant('pass' as const), steps: fc.nat({ max: 20 }) });
  const settles = fc.constant({ do: 'settle' } as const);
  const kubelets = fc.record({ do: fc.constant('sync' as const), which: fc.nat({ max: 5 }) });
  const times = fc.constantFrom(10 * second, minute, 10 * minute, 70 * minute, 25 * hour);
  const clocks = fc.record({ do: fc.constant('advance' as const), ms: times });
  const webhooks = fc.constant({ do: 'delete-webhooks' } as const);
  const deletes = fc.constant({ do: 'delete-ca' } as const);
  const replaces = fc.record({
    do: fc.constantFrom('replace-ca' as const, 'restore-ca' as const),
    whole: fc.boolean(),
  });
  const work_ = [
    { weight: 4, arbitrary: passes },
    { weight: 3, arbitrary: settles },
    { weight: 3, arbitrary: kubelets },
    { weight: 5, arbitrary: clocks },
  ];

  async function play(events: readonly (Event | { do: 'delete-ca' })[], most: number): Promise<void> {
    const world = await World.running();
    const check = (): void => {
      sound(world)();
      assert.ok(world.roots <= most, `${world.roots} roots`);
    };
    const first = { ...world.caSecret.data };
    let requested = 0;
    for (const event of events) {
      switch (event.do) {
        case 'request':
          requested += 1;
          world.request = `request ${requested}`;
          break;
        case 'pass':
          await world.pass(check, event.steps);
          break;
        case 'settle':
          await world.settle(check);
          break;
        case 'sync':
          world.syncOne(event.which);
          break;
        case 'advance':
          world.advance(event.ms);
          break;
        case 'delete-webhooks':
          world.deleteWebhooks();
          break;
        case 'delete-ca':
          world.deleteCa();
          break;
        case 'replace-ca':
          await world.replaceCa(event.whole);
          break;
        case 'restore-ca':
          await world.replaceCa(event.whole, first);
          break;
      }
      check();
    }
    // Whatever came before, it ends, after one more rotation at most.
    await world.settle(check);
    for (let looks = 0; looks < 10 && world.rotation().step !== 'none'; looks += 1) {
      const rotation = world.rotation();
      if (rotation.step === 'waiting') world.advance(rotation.switchAt - world.now);
      if (rotation.step === 'retiring') world.advance(Math.max(2 * minute, rotation.retireAt - world.now));
      check();
      await world.settle(check);
    }
    assert.equal(world.rotation().step, 'none');
    assert.equal(world.roots, 1);
    assert.deepEqual(Object.keys(world.caSecret.data ?? {}).sort(), ['ca.crt', 'private.key']);
  }
  type Event =
    | { do: 'request' | 'settle' | 'delete-webhooks' }
    | { do: 'pass'; steps: number }
    | { do: 'sync'; which: number }
    | { do: 'advance'; ms: number }
    | { do: 'replace-ca' | 'restore-ca'; whole: boolean };

  it('never serves what is not trusted, wherever the operator dies and however late kubelets are', async function () {
    this.timeout(60_000);
    const events = fc.oneof(...work_, { weight: 2, arbitrary: requests }, { weight: 1, arbitrary: webhooks });
    await fc.assert(
      fc.asyncProperty(fc.array(events, { minLength: 5, maxLength: 20 }), (all) => play(all, 2)),
      {
        numRuns,
        seed: 1,
      },
    );
  });

  it('never does when a person deletes, replaces or restores the CA at any moment', async function () {
    this.timeout(60_000);
    const events = fc.oneof(
      ...work_,
      { weight: 1, arbitrary: requests },
      { weight: 1, arbitrary: deletes },
      { weight: 1, arbitrary: replaces },
    );
    await fc.assert(
      fc.asyncProperty(fc.array(events, { minLength: 5, maxLength: 20 }), (all) => play(all, Number.POSITIVE_INFINITY)),
      { numRuns, seed: 1 },
    );
  });

  it('reads a CA that the user made, with its chain, and one whose former root is unreadable', async () => {
    const world = await World.running();
    const made = authorityData(await createAuthority({ now: world.now }));
    await world.replaceCa(true, { ...made, 'former.crt': Buffer.from('text').toString('base64') });
    const { controlPlaneCa } = world.observe();
    assert.match(controlPlaneCa.kind === 'unreadable' ? controlPlaneCa.message : '', /former\.crt/);
  });
});
