import assert from 'node:assert/strict';
import { diff } from '#xds/cache/diff.ts';
import { NO_RESOURCES, type ResourceMap } from '#xds/cache/snapshot.ts';
import { CLUSTER, SECRET, type TypeUrl } from '#xds/cache/types.ts';
import type { DeltaRequest } from '#xds/server/messages.ts';
import { openSubscription, respond, settled, type Subscription, step } from '#xds/server/subscription.ts';
import { request, resource, resources, summary } from './support.ts';

/** Drives one subscription: `ask` sends a request, `set` changes the state of the world. */
function client(initial: ResourceMap, type: TypeUrl = CLUSTER, promised?: ReadonlySet<string>) {
  let subscription: Subscription = openSubscription(type, promised);
  let world = initial;
  let nonce = 0;
  return {
    ask(fields: Parameters<typeof request>[0] = {}): string[] {
      return this.send(request(fields));
    },
    send(message: DeltaRequest): string[] {
      const result = step(subscription, message, world, String(nonce + 1));
      subscription = result.subscription;
      nonce += result.responses.length;
      return summary(result.responses);
    },
    set(next: ResourceMap): string[] {
      world = next;
      const result = respond(subscription, world, String(nonce + 1));
      subscription = result.subscription;
      if (result.response === undefined) return [];
      nonce += 1;
      return summary([result.response]);
    },
    ack(): string[] {
      return this.ask({ nonce: String(nonce) });
    },
    nack(error: string): string[] {
      return this.ask({ nonce: String(nonce), error });
    },
    get subscription(): Subscription {
      return subscription;
    },
  };
}

const AB = resources({ a: '1', b: '1' });

describe('one delta subscription', () => {
  it('takes a first request without names as a wildcard', () => {
    assert.deepEqual(client(AB).ask(), ['cds +a,b']);
  });

  it('takes `*` as a wildcard', () => {
    assert.deepEqual(client(AB).ask({ subscribe: ['*'] }), ['cds +a,b']);
  });

  it('never says that a promised secret is not there, and at once that any other is not', () => {
    const promised = new Set(['roots', 'workload']);
    const roots = resources({ roots: '1' }, SECRET);
    const both = resources({ roots: '1', workload: '1' }, SECRET);
    const fresh = client(roots, SECRET, promised);
    assert.deepEqual(fresh.ask({ subscribe: ['roots', 'workload', 'another'] }), ['sds +roots -another']);
    assert.deepEqual(fresh.ack(), []);
    assert.ok(settled(fresh.subscription, roots), 'nothing more is owed for now');
    assert.deepEqual(fresh.ask({ subscribe: ['workload'] }), []);
    assert.deepEqual(fresh.set(both), ['sds +workload']);
    assert.deepEqual(fresh.ack(), []);
    assert.deepEqual(fresh.set(roots), []);

    const back = client(roots, SECRET, promised);
    assert.deepEqual(back.ask({ subscribe: ['roots', 'workload'], initial: { roots: '0', workload: '0' } }), [
      'sds +roots',
    ]);
    assert.deepEqual(back.ack(), []);
    assert.deepEqual(back.set(both), ['sds +workload']);
  });

  it('takes only a first request without names as a wildcard', () => {
    const one = client(AB);
    assert.deepEqual(one.ask({ subscribe: ['a'] }), ['cds +a']);
    assert.deepEqual(one.ack(), []);
    assert.deepEqual(one.set(resources({ a: '1', b: '2' })), []);
  });

  it('answers a first wildcard request even when there is nothing, and only once', () => {
    const one = client(NO_RESOURCES);
    assert.deepEqual(one.ask(), ['cds']);
    assert.deepEqual(one.ack(), []);
  });

  it('answers an unknown name with its removal, never with silence', () => {
    assert.deepEqual(client(AB).ask({ subscribe: ['x', 'a'] }), ['cds +a -x']);
  });

  it('gives a name that was unknown as soon as it exists', () => {
    const one = client(AB);
    one.ask({ subscribe: ['x'] });
    one.ack();
    assert.deepEqual(one.set(resources({ a: '1', x: '1' })), ['cds +x']);
  });

  it('answers a name that is asked for again, though nothing changed', () => {
    const one = client(AB);
    one.ask({ subscribe: ['a'] });
    one.ack();
    assert.deepEqual(one.ask({ subscribe: ['a'] }), ['cds +a']);
  });

  it('forgets what the client no longer wants', () => {
    const one = client(AB);
    one.ask({ subscribe: ['a', 'b'] });
    one.ack();
    one.ask({ unsubscribe: ['a'] });
    assert.deepEqual(one.set(resources({ a: '2', b: '2' })), ['cds +b']);
  });

  it('keeps the explicit names when the wildcard is given up', () => {
    const one = client(AB);
    one.ask();
    one.ack();
    one.ask({ subscribe: ['a'] });
    one.ack();
    one.ask({ unsubscribe: ['*'] });
    assert.deepEqual(one.set(resources({ a: '2', b: '2' })), ['cds +a']);
  });

  it('widens from names to everything', () => {
    const one = client(AB);
    one.ask({ subscribe: ['a'] });
    one.ack();
    assert.deepEqual(one.ask({ subscribe: ['*'] }), ['cds +b']);
  });

  it('sends only what changed to a client that comes back, and removes what is gone', () => {
    const hash = AB.get('a')?.hash ?? '';
    assert.deepEqual(client(AB).ask({ initial: { a: hash, b: 'old', gone: 'x' } }), ['cds +b -gone']);
  });

  it('says nothing to a client that comes back up to date', () => {
    const initial = Object.fromEntries([...AB].map(([name, { hash }]) => [name, hash]));
    const one = client(AB);
    assert.deepEqual(one.ask({ initial }), []);
    assert.equal(one.subscription.held, AB, 'it should share the map from then on');
  });

  it('honours the versions of named subscriptions that come back', () => {
    const hash = AB.get('a')?.hash ?? '';
    const initial = { a: hash, b: 'old', gone: 'x' };
    assert.deepEqual(client(AB).ask({ subscribe: ['a', 'b', 'gone', 'new'], initial }), ['cds +b -gone,new']);
  });

  it('has one response in flight, and the newest state wins', () => {
    const one = client(AB);
    assert.deepEqual(one.ask(), ['cds +a,b']);
    assert.deepEqual(one.set(resources({ a: '2', b: '1' })), []);
    assert.deepEqual(one.set(resources({ a: '3' })), []);
    assert.deepEqual(one.ack(), ['cds +a -b']);
    assert.deepEqual(one.ack(), []);
  });

  it('does not take the answer to an older response for the newest', () => {
    const one = client(AB);
    one.ask();
    assert.deepEqual(one.ask({ nonce: 'other' }), []);
    assert.equal(one.subscription.inFlight?.nonce, '1');
  });

  it('does not send a refused version again, but the next one', () => {
    const one = client(AB);
    one.ask();
    one.ack();
    assert.deepEqual(one.set(resources({ a: 'broken', b: '1' })), ['cds +a']);
    assert.deepEqual(one.nack('Error adding/updating cluster(s) a: no'), []);
    assert.deepEqual(one.set(resources({ a: 'broken', b: '2' })), ['cds +b']);
    one.ack();
    assert.deepEqual(one.set(resources({ a: '3', b: '2' })), ['cds +a']);
  });

  it('sends the innocent of a refused response again without the culprit', () => {
    const one = client(AB);
    one.ask();
    one.ack();
    assert.deepEqual(one.set(resources({ a: 'broken', b: '2' })), ['cds +a,b']);
    assert.deepEqual(one.nack('Error adding/updating cluster(s) a: no'), ['cds +b']);
    assert.deepEqual(one.ack(), []);
  });

  it('tries the resources of a refused response one by one when no culprit is named', () => {
    const one = client(AB);
    one.ask();
    one.ack();
    one.set(resources({ a: 'broken', b: '2' }));
    assert.deepEqual(one.nack('something is wrong'), ['cds +a']);
    assert.deepEqual(one.nack('something is wrong'), ['cds +b']);
    assert.deepEqual(one.ack(), []);
  });

  it('goes back to what the client holds when it refuses, so that a return to it sends nothing', () => {
    const one = client(AB);
    one.ask();
    one.ack();
    one.set(resources({ a: 'broken', b: '1' }));
    one.nack('a');
    assert.deepEqual(one.set(resources({ a: '1', b: '1' })), []);
  });

  it('does not repeat a refused removal for ever', () => {
    const one = client(AB);
    one.ask();
    one.ack();
    assert.deepEqual(one.set(resources({ a: '1' })), ['cds -b']);
    assert.deepEqual(one.nack('never'), []);
  });

  it('shares the map of the snapshot while nothing is special about the client', () => {
    const one = client(AB);
    one.ask();
    assert.equal(one.subscription.held, AB);
    const next = resources({ a: '2', b: '1' });
    one.ack();
    one.set(next);
    assert.equal(one.subscription.held, next);
    const named = client(AB);
    named.ask({ subscribe: ['a'] });
    named.ack();
    named.ask({ subscribe: ['b'] });
    named.ack();
    assert.equal(named.subscription.held, AB);
  });
});

describe('the difference of two maps', () => {
  it('is found once for a pair of maps', () => {
    const next = resources({ b: '2', c: '1' });
    const found = diff(AB, next);
    assert.deepEqual(
      { ...found, added: found.added.map((r) => r.name), updated: found.updated.map((r) => r.name) },
      { added: ['c'], updated: ['b'], removed: ['a'] },
    );
    assert.equal(diff(AB, next), found);
    assert.deepEqual(diff(next, next), { added: [], updated: [], removed: [] });
  });

  it('goes by content, not by object', () => {
    const same = resources({ a: '1', b: '1' });
    assert.notEqual(same.get('a'), resource(CLUSTER, 'a'));
    assert.deepEqual(diff(AB, same), { added: [], updated: [], removed: [] });
  });
});
