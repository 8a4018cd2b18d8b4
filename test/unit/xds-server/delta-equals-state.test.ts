/** Property: whatever happens, a client that applies the deltas it accepts ends with the state of the world. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { EMPTY_SNAPSHOT, type ProxySnapshot } from '#xds/cache/snapshot.ts';
import { TYPES, type TypeUrl } from '#xds/cache/types.ts';
import type { DeltaResponse } from '#xds/server/messages.ts';
import { advance, handle, openStream, type StreamState } from '#xds/server/order.ts';
import { settled } from '#xds/server/subscription.ts';
import { request, SHORT, snapshot } from './support.ts';

const names = ['a', 'b', 'c'];
const contents = fc.dictionary(fc.constantFrom(...names), fc.constantFrom('1', '2', '3'));
const worlds = fc.record({ cds: contents, eds: contents, sds: contents, lds: contents, rds: contents });
const WILD: readonly TypeUrl[] = [SHORT.cds, SHORT.lds];

type Action =
  | { readonly kind: 'world'; readonly world: Parameters<typeof snapshot>[0] }
  | { readonly kind: 'answer'; readonly pick: number; readonly refuse: boolean }
  | { readonly kind: 'reconnect' }
  | { readonly kind: 'subscribe' | 'unsubscribe'; readonly type: TypeUrl; readonly name: string };

const named = fc.constantFrom(SHORT.eds, SHORT.sds, SHORT.rds);
const actions: fc.Arbitrary<Action> = fc.oneof(
  worlds.map((world) => ({ kind: 'world' as const, world })),
  fc.record({ kind: fc.constant('answer' as const), pick: fc.nat(9), refuse: fc.constant(false) }),
  fc.record({
    kind: fc.constantFrom('subscribe' as const, 'unsubscribe' as const),
    type: named,
    name: fc.constantFrom(...names),
  }),
  fc.constant({ kind: 'reconnect' as const }),
);

/** A client that keeps what it accepts, and answers in any order. */
class Client {
  world: ProxySnapshot = EMPTY_SNAPSHOT;
  state: StreamState = openStream();
  readonly held = new Map<TypeUrl, Map<string, string>>(TYPES.map((type) => [type, new Map()]));
  readonly asked = new Map<TypeUrl, Set<string>>(TYPES.map((type) => [type, new Set()]));
  unanswered: DeltaResponse[] = [];
  sentWhileInFlight = 0;

  send(type: TypeUrl, fields: Parameters<typeof request>[0]): void {
    const { stream, responses } = handle(this.state, type, request({ type, ...fields }), this.world);
    this.take(stream, responses);
  }

  take(stream: StreamState, responses: readonly DeltaResponse[]): void {
    this.state = stream;
    for (const response of responses) {
      if (this.unanswered.some(({ type }) => type === response.type)) this.sentWhileInFlight += 1;
      this.unanswered.push(response);
    }
  }

  answer(pick: number): void {
    const response = this.unanswered[pick % this.unanswered.length];
    if (response === undefined) return;
    this.unanswered = this.unanswered.filter((other) => other !== response);
    const type = response.type as TypeUrl;
    const held = this.held.get(type);
    assert.ok(held);
    const wanted = (name: string): boolean => WILD.includes(type) || this.asked.get(type)?.has(name) === true;
    for (const { name, hash } of response.resources) if (wanted(name)) held.set(name, hash);
    for (const name of response.removed) held.delete(name);
    this.send(type, { nonce: response.nonce });
  }

  reconnect(): void {
    this.state = openStream();
    this.unanswered = [];
    for (const type of TYPES) {
      const initial = Object.fromEntries(this.held.get(type) ?? []);
      this.send(type, { initial, subscribe: WILD.includes(type) ? [] : [...(this.asked.get(type) ?? [])] });
    }
  }

  apply(action: Action): void {
    switch (action.kind) {
      case 'world': {
        this.world = snapshot(action.world, this.world);
        const { stream, responses } = advance(this.state, this.world);
        return this.take(stream, responses);
      }
      case 'answer':
        return this.answer(action.pick);
      case 'reconnect':
        return this.reconnect();
      case 'subscribe':
        this.asked.get(action.type)?.add(action.name);
        return this.send(action.type, { subscribe: [action.name] });
      case 'unsubscribe':
        this.asked.get(action.type)?.delete(action.name);
        this.held.get(action.type)?.delete(action.name);
        return this.send(action.type, { unsubscribe: [action.name] });
      default:
        action satisfies never;
    }
  }

  finish(): void {
    for (let turns = 0; this.unanswered.length > 0; turns += 1) {
      assert.ok(turns < 500, 'the exchange must end');
      this.answer(0);
    }
  }
}

describe('delta applied', () => {
  it('answers anew a name that was offered unasked, given up, and then asked for', () => {
    const client = new Client();
    for (const type of TYPES) client.send(type, WILD.includes(type) ? {} : { subscribe: ['a'] });
    for (const type of TYPES) if (!WILD.includes(type)) client.asked.get(type)?.add('a');
    const withC = { cds: { c: '1' }, eds: { c: '1' }, sds: {}, lds: {}, rds: {} };
    const story: Action[] = [
      { kind: 'world', world: withC },
      { kind: 'reconnect' },
      { kind: 'unsubscribe', type: SHORT.eds, name: 'c' },
      { kind: 'world', world: { cds: {}, eds: {}, sds: {}, lds: {}, rds: {} } },
      { kind: 'subscribe', type: SHORT.eds, name: 'c' },
    ];
    for (const action of story) client.apply(action);
    client.finish();
    assert.deepEqual([...(client.held.get(SHORT.eds) ?? [])], [], 'the assignment of a cluster that is gone');
  });

  it('equals the state of the world, with one response in flight a type', () => {
    fc.assert(
      fc.property(fc.array(actions, { maxLength: 40 }), (story) => {
        const client = new Client();
        for (const type of TYPES) client.send(type, WILD.includes(type) ? {} : { subscribe: ['a'] });
        for (const type of TYPES) if (!WILD.includes(type)) client.asked.get(type)?.add('a');
        for (const action of story) client.apply(action);
        client.finish();
        for (const type of TYPES) {
          const wanted = [...client.world[type]].filter(
            ([name]) => WILD.includes(type) || client.asked.get(type)?.has(name),
          );
          const expected = Object.fromEntries(wanted.map(([name, { hash }]) => [name, hash]));
          assert.deepEqual(Object.fromEntries(client.held.get(type) ?? []), expected, type);
          assert.ok(settled(client.state.subscriptions[type], client.world[type]), `${type} should be settled`);
        }
        assert.equal(client.sentWhileInFlight, 0);
      }),
      { numRuns: 500 },
    );
  });
});
