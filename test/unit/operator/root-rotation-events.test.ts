/** Whatever happens, in whatever order, while the built-in workload root is rotated. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { minute, RootWorld, second } from './root-world.ts';

const settled = ['ca.crt', 'private.key'];

describe('operator/plan/root-rotation, in any order', () => {
  // More of them: OSM_TEST_RUNS=2000.
  const numRuns = Number(process.env['OSM_TEST_RUNS'] ?? 150);
  const which = fc.nat({ max: 5 });
  const event = fc.oneof(
    { weight: 2, arbitrary: fc.record({ do: fc.constant('request' as const), value: fc.constantFrom('a', 'b', 'c') }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('back' as const) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('pause' as const), paused: fc.boolean() }) },
    { weight: 4, arbitrary: fc.record({ do: fc.constant('pass' as const) }) },
    {
      weight: 6,
      arbitrary: fc.record({
        do: fc.constantFrom('look' as const, 'tell' as const, 'sync' as const, 'drop' as const, 'connect' as const),
        which,
      }),
    },
    {
      weight: 2,
      arbitrary: fc.record({ do: fc.constantFrom('restart' as const, 'stick' as const, 'blind' as const), which }),
    },
    {
      weight: 5,
      arbitrary: fc.record({
        do: fc.constant('advance' as const),
        ms: fc.constantFrom(0, 500, 5 * second, 20 * second, minute, 2 * minute, 10 * minute),
      }),
    },
  );
  // The operator is there all the while.
  const works = fc.record({
    do: fc.constant('work' as const),
    ms: fc.constantFrom(20 * second, 3 * minute, 12 * minute),
  });
  const events = fc.array(fc.oneof({ weight: 25, arbitrary: event }, { weight: 4, arbitrary: works }), {
    minLength: 10,
    maxLength: 60,
  });
  type Event = typeof events extends fc.Arbitrary<(infer T)[]> ? T : never;

  async function play(events: readonly Event[]): Promise<void> {
    const mesh = await RootWorld.running();
    const check = () => assert.deepEqual(mesh.distrust(), [], mesh.done.slice(-8).join(', '));
    const pick = <T>(from: readonly T[], index: number): T => from[index % from.length]!;
    for (const each of events) {
      switch (each.do) {
        case 'request':
          mesh.request = each.value;
          break;
        case 'back':
          mesh.request = 'back';
          break;
        case 'pause':
          mesh.settings = { paused: each.paused };
          break;
        case 'pass':
          await mesh.pass();
          break;
        case 'look':
          if (!pick(mesh.replicas, each.which).blind) mesh.look(pick(mesh.replicas, each.which));
          break;
        case 'tell':
          mesh.tell(pick(mesh.replicas, each.which));
          break;
        case 'sync':
          mesh.sync(pick(mesh.sidecars, each.which));
          break;
        case 'drop':
          mesh.disconnect(pick(mesh.sidecars, each.which));
          break;
        case 'connect':
          mesh.connect(pick(mesh.sidecars, each.which), each.which);
          break;
        case 'restart':
          pick(mesh.replicas, each.which).blind = false;
          mesh.restart(pick(mesh.replicas, each.which));
          break;
        case 'stick':
          pick(mesh.sidecars, each.which).stuck = !pick(mesh.sidecars, each.which).stuck;
          break;
        case 'blind':
          pick(mesh.replicas, each.which).blind = !pick(mesh.replicas, each.which).blind;
          break;
        case 'work':
          await mesh.work(each.ms, check);
          break;
        case 'advance': {
          // However long it is, sidecars and replicas are never away for longer than they may be.
          const end = mesh.now + each.ms;
          do mesh.advance(Math.min(10 * second, end - mesh.now), check);
          while (mesh.now < end);
          break;
        }
      }
      check();
    }
    // Whatever came before, it ends, after one more rotation at most.
    mesh.settings = undefined;
    for (const sidecar of mesh.sidecars) sidecar.stuck = false;
    for (const replica of mesh.replicas) replica.blind = false;
    await mesh.work(40 * minute, check);
    assert.deepEqual(Object.keys(mesh.secret?.data ?? {}).sort(), settled, mesh.done.join(', '));
    assert.equal(mesh.root.walk.rotatingTo, undefined);
  }

  it('nobody ever meets a certificate that it does not trust, whatever is late, away, restarted, taken back or asked for again', async function () {
    this.timeout(60_000 + 200 * numRuns);
    await fc.assert(
      fc.asyncProperty(events, (all) => play(all)),
      { numRuns, seed: 1 },
    );
  });
});
