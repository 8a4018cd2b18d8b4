import assert from 'node:assert/strict';
import type { ProxySnapshot } from '#xds/cache/snapshot.ts';
import { advance, handle, openStream, type StreamState } from '#xds/server/order.ts';
import { MOST_BYTES } from '#xds/server/portion.ts';
import { request, SHORT, snapshot, summary } from './support.ts';

type Short = keyof typeof SHORT;

/** Drives one stream by short names; every expectation is the list of responses in their order. */
function stream(first: ProxySnapshot) {
  let state: StreamState = openStream();
  let world = first;
  const feed = (short: Short, fields: Parameters<typeof request>[0]): string[] => {
    const result = handle(state, SHORT[short], request({ type: SHORT[short], ...fields }), world);
    state = result.stream;
    return summary(result.responses);
  };
  const nonceOf = (short: Short): string => {
    const inFlight = state.subscriptions[SHORT[short]].inFlight;
    assert.ok(inFlight, `${short} should be in flight`);
    return inFlight.nonce;
  };
  return {
    ask: (short: Short, ...subscribe: string[]) => feed(short, { subscribe }),
    drop: (short: Short, ...unsubscribe: string[]) => feed(short, { unsubscribe }),
    back: (short: Short, initial: Record<string, string>, ...subscribe: string[]) =>
      feed(short, { subscribe, initial }),
    ack: (short: Short) => feed(short, { nonce: nonceOf(short) }),
    nack: (short: Short, error: string) => feed(short, { nonce: nonceOf(short), error }),
    set(next: ProxySnapshot): string[] {
      world = next;
      const result = advance(state, world);
      state = result.stream;
      return summary(result.responses);
    },
  };
}

const ONE = snapshot({ cds: { a: '1' }, eds: { a: '1' }, sds: { workload: '1' }, lds: { out: '1' }, rds: { r: '1' } });

/** A stream whose client has acknowledged all of ONE. */
function synced() {
  const one = stream(ONE);
  one.ask('cds');
  one.ask('eds', 'a');
  one.ask('sds', 'workload');
  for (const short of ['eds', 'sds', 'cds'] as const) one.ack(short);
  one.ask('lds');
  one.ask('rds', 'r');
  one.ack('rds');
  one.ack('lds');
  one.ack('sds');
  return one;
}

describe('the order of one stream', () => {
  it('starts with clusters, and what warms them when it is asked for', () => {
    const one = stream(ONE);
    assert.deepEqual(one.ask('cds'), ['cds +a']);
    assert.deepEqual(one.ask('eds', 'a'), ['eds +a'], 'not held until the CDS ACK, which waits for it');
    assert.deepEqual(one.ask('sds', 'workload'), ['sds +workload']);
  });

  it('holds listeners until the clusters that they may name are acknowledged', () => {
    const one = stream(ONE);
    one.ask('cds');
    assert.deepEqual(one.ask('lds'), []);
    assert.deepEqual(one.ack('cds'), ['lds +out']);
  });

  it('holds routes that are asked for anew until the clusters of the same snapshot are sent, not until they are warm', () => {
    const one = stream(snapshot({ cds: { a: '1' }, lds: { out: '1' } }));
    one.ask('cds');
    one.ack('cds');
    one.ask('lds');
    one.ack('lds');
    one.set(snapshot({ cds: { a: '2' }, lds: { out: '1' }, rds: { r: '1' } }));
    // In flight is what was; b, which r may name, is not sent yet.
    one.set(snapshot({ cds: { a: '2', b: '1' }, lds: { out: '1' }, rds: { r: '2' } }));
    assert.deepEqual(one.ask('rds', 'r'), []);
    assert.deepEqual(one.ack('cds'), ['cds +b', 'rds +r']);
  });

  it('cuts what is too much for one response, and lets nothing that may point at the rest overtake it', () => {
    const big = 'x'.repeat(MOST_BYTES / 2);
    const one = stream(
      snapshot({ cds: { a: big, b: big, c: big, d: `${big}${big}${big}`, e: '1' }, lds: { out: '1' } }),
    );
    assert.deepEqual(one.ask('cds'), ['cds +a,b']);
    assert.deepEqual(one.ask('lds'), []);
    assert.deepEqual(one.ack('cds'), ['cds +c']);
    assert.deepEqual(one.ack('cds'), ['cds +d'], 'one that is too big goes alone');
    assert.deepEqual(one.ack('cds'), ['cds +e']);
    assert.deepEqual(one.ack('cds'), ['lds +out']);
  });

  it('sends the endpoints and secrets of a changed cluster in the same turn, though they are unchanged', () => {
    const next = snapshot(
      { cds: { a: '2' }, eds: { a: '1' }, sds: { workload: '1' }, lds: { out: '1' }, rds: { r: '1' } },
      ONE,
    );
    assert.deepEqual(synced().set(next), ['cds +a', 'eds +a', 'sds +workload']);
  });

  it('sends endpoints alone when only they change', () => {
    const next = snapshot(
      { cds: { a: '1' }, eds: { a: '2' }, sds: { workload: '1' }, lds: { out: '1' }, rds: { r: '1' } },
      ONE,
    );
    assert.deepEqual(synced().set(next), ['eds +a']);
  });

  it('adds: clusters first, routes and listeners after their ACK', () => {
    const one = synced();
    const next = snapshot(
      { cds: { a: '1', b: '1' }, eds: { a: '1', b: '1' }, sds: { workload: '1' }, lds: { out: '2' }, rds: { r: '2' } },
      ONE,
    );
    assert.deepEqual(one.set(next), ['cds +b', 'eds +b', 'sds +workload'], 'before Envoy can ask for it');
    assert.deepEqual(one.ask('eds', 'b'), [], 'it is on its way');
    one.ack('eds');
    one.ack('sds');
    assert.deepEqual(one.ack('cds'), ['lds +out', 'rds +r', 'sds +workload']);
  });

  it('answers again who asks for offered endpoints after acknowledging them: they may have been thrown away', () => {
    const one = synced();
    one.set(
      snapshot(
        {
          cds: { a: '1', b: '1' },
          eds: { a: '1', b: '1' },
          sds: { workload: '1' },
          lds: { out: '1' },
          rds: { r: '1' },
        },
        ONE,
      ),
    );
    assert.deepEqual(one.ack('eds'), []);
    assert.deepEqual(one.ask('eds', 'b'), ['eds +b']);
    one.ack('eds');
    assert.deepEqual(one.ask('eds', 'b'), ['eds +b'], 'as any name that is asked for');
  });

  it('offers no endpoints that do not exist, and answers who asks for them', () => {
    const one = synced();
    const next = snapshot(
      { cds: { a: '1', b: '1' }, eds: { a: '1' }, sds: { workload: '1' }, lds: { out: '1' }, rds: { r: '1' } },
      ONE,
    );
    assert.deepEqual(one.set(next), ['cds +b', 'sds +workload']);
    assert.deepEqual(one.ask('eds', 'b'), ['eds -b']);
  });

  it('removes: listeners and routes first, clusters after their ACK', () => {
    const one = synced();
    const next = snapshot({ sds: { workload: '1' }, lds: { out: '2' }, rds: { r: '2' } }, ONE);
    assert.deepEqual(one.set(next), ['lds +out', 'rds +r', 'sds +workload']);
    assert.deepEqual(one.ack('lds'), []);
    assert.deepEqual(one.ack('rds'), ['cds -a', 'eds -a']);
  });

  it('swaps a cluster without a gap', () => {
    const one = synced();
    const next = snapshot(
      { cds: { b: '1' }, eds: { b: '1' }, sds: { workload: '1' }, lds: { out: '1' }, rds: { r: '2' } },
      ONE,
    );
    assert.deepEqual(one.set(next), ['cds +b', 'eds +b', 'sds +workload'], 'a stays');
    one.ask('eds', 'b');
    assert.deepEqual(one.ack('cds'), ['rds +r']);
    one.ack('eds');
    assert.deepEqual(one.ack('rds'), ['cds -a', 'eds -a']);
  });

  it('answers routes that a warming listener asks for, even while clusters are in flight', () => {
    const one = synced();
    const next = snapshot(
      {
        cds: { a: '1', b: '1' },
        eds: { a: '1', b: '1' },
        sds: { workload: '1' },
        lds: { out: '1' },
        rds: { r: '1', s: '1' },
      },
      ONE,
    );
    one.set(next);
    assert.deepEqual(one.ask('rds', 's'), ['rds +s']);
  });

  it('goes on with listeners when the clusters are refused', () => {
    const one = synced();
    const next = snapshot(
      { cds: { a: 'broken' }, eds: { a: '1' }, sds: { workload: '1' }, lds: { out: '2' }, rds: { r: '1' } },
      ONE,
    );
    one.set(next);
    one.ack('sds');
    assert.deepEqual(one.nack('cds', 'Error adding/updating cluster(s) a: no'), ['lds +out', 'sds +workload']);
  });

  it('owes the endpoints of a cluster that changed while the client was away', () => {
    const hashes = (short: Short): Record<string, string> =>
      Object.fromEntries([...ONE[SHORT[short]]].map(([name, { hash }]) => [name, hash]));
    const next = snapshot(
      { cds: { a: '2' }, eds: { a: '1' }, sds: { workload: '1' }, lds: { out: '1' }, rds: { r: '1' } },
      ONE,
    );
    const one = stream(next);
    assert.deepEqual(one.back('cds', hashes('cds')), ['cds +a']);
    assert.deepEqual(one.back('eds', hashes('eds'), 'a'), ['eds +a']);
    assert.deepEqual(one.back('sds', hashes('sds'), 'workload'), ['sds +workload']);
  });
});
