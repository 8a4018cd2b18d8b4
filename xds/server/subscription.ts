/**
 * The delta protocol of one (stream, type), as values and functions of values: what the client asked for, what it is
 * known to hold, and the one response that it has not answered yet.
 */
import { diff, type Versioned } from '#xds/cache/diff.ts';
import type { ResourceMap } from '#xds/cache/snapshot.ts';
import type { Resource } from '#xds/resource.ts';
import type { DeltaRequest, DeltaResponse } from './messages.ts';
import { portion } from './portion.ts';
import { ABSENT, type InFlight, type Subscription } from './subscription-state.ts';

export { type InFlight, openSubscription, type Subscription } from './subscription-state.ts';

/** What a request said about the response in flight. */
export type Verdict =
  | { readonly kind: 'none' }
  | { readonly kind: 'stale' }
  | { readonly kind: 'ack'; readonly response: InFlight }
  /** `culprits` is empty when Envoy's words name none of several resources: they are tried one by one. */
  | {
      readonly kind: 'nack';
      readonly response: InFlight;
      readonly error: string;
      readonly culprits: readonly Resource[];
    };

/** What may be sent now; the rest waits for its turn (`order.ts`). */
export interface Permission {
  /** `due` lets only newly asked names through. */
  readonly updates: 'all' | 'due';
  readonly removals: 'all' | 'due';
}

export const EVERYTHING: Permission = { updates: 'all', removals: 'all' };

/** One whole turn of one type: takes a request in and gives at most one response, regardless of other types. */
export function step(
  subscription: Subscription,
  request: DeltaRequest,
  resources: ResourceMap,
  nonce: string,
): { subscription: Subscription; responses: readonly DeltaResponse[]; verdict: Verdict } {
  const received = receive(subscription, request, resources);
  const answered = respond(received.subscription, resources, nonce);
  return {
    subscription: answered.subscription,
    responses: answered.response === undefined ? [] : [answered.response],
    verdict: received.verdict,
  };
}

/** Takes a request in. `resources` only lends its strings and objects, so that equal names are kept once. */
export function receive(
  subscription: Subscription,
  request: DeltaRequest,
  resources: ResourceMap,
): { subscription: Subscription; verdict: Verdict } {
  const judged = judge(subscription, request);
  return { subscription: adjustNames(judged.subscription, request, resources), verdict: judged.verdict };
}

function judge(subscription: Subscription, request: DeltaRequest): { subscription: Subscription; verdict: Verdict } {
  if (request.nonce === '') return { subscription, verdict: { kind: 'none' } };
  const response = subscription.inFlight;
  if (response === undefined || response.nonce !== request.nonce) return { subscription, verdict: { kind: 'stale' } };
  const offered = without(subscription.offered, response.resources);
  if (request.error === undefined) {
    const refused = new Map(subscription.refused);
    for (const { name } of response.resources) refused.delete(name);
    const next = { ...subscription, offered, inFlight: undefined, refused };
    return { subscription: next, verdict: { kind: 'ack', response } };
  }
  return refuse({ ...subscription, offered }, response, request.error);
}

function without(names: ReadonlySet<string>, resources: readonly Resource[]): ReadonlySet<string> {
  if (names.size === 0) return names;
  const rest = new Set(names);
  for (const { name } of resources) rest.delete(name);
  return rest;
}

/** Goes back to what the client holds. A refused removal counts as done: sending it again would never end. */
function refuse(subscription: Subscription, response: InFlight, error: string): ReturnType<typeof judge> {
  const named = response.resources.filter((resource) => error.includes(resource.name));
  const culprits = response.resources.length === 1 ? response.resources : named;
  const held = new Map(subscription.held);
  if (response.resources.length > 0) {
    for (const [name, version] of response.before) {
      if (version !== undefined) {
        if (subscription.wildcard || held.has(name)) held.set(name, version);
      } else held.delete(name);
    }
  }
  const refused = new Map(subscription.refused);
  for (const { name, hash } of culprits) refused.set(name, hash);
  const suspects = new Set(subscription.suspects);
  if (culprits.length === 0) for (const { name } of response.resources) suspects.add(name);
  return {
    subscription: { ...subscription, inFlight: undefined, held, refused, suspects },
    verdict: { kind: 'nack', response, error, culprits },
  };
}

function adjustNames(subscription: Subscription, request: DeltaRequest, resources: ResourceMap): Subscription {
  const first = !subscription.opened;
  if (!first && request.subscribe.length === 0 && request.unsubscribe.length === 0) return subscription;
  const intern = (name: string): string => resources.get(name)?.name ?? name;
  const held = new Map(subscription.held);
  const due = new Set(subscription.due);
  const explicit = new Set(subscription.explicit);
  const offered = subscription.offered.size === 0 ? subscription.offered : new Set(subscription.offered);
  let wildcard = subscription.wildcard;
  let greet = false;

  const startWildcard = (): void => {
    if (wildcard) return;
    wildcard = true;
    greet = true;
    for (const [name, version] of held) {
      explicit.add(name);
      if (version.hash === '') held.delete(name);
    }
  };

  if (first && request.subscribe.length === 0) startWildcard();
  if (request.subscribe.includes('*')) startWildcard();
  for (const spoken of request.subscribe) {
    if (spoken === '*') continue;
    const name = intern(spoken);
    if (wildcard) explicit.add(name);
    if (offered instanceof Set && offered.delete(name)) continue;
    if (first && request.initialVersions.has(spoken)) continue;
    if (!wildcard && !held.has(name)) held.set(name, ABSENT);
    due.add(name);
  }
  if (first) {
    for (const [spoken, hash] of request.initialVersions) {
      if (!wildcard && !request.subscribe.includes(spoken)) continue;
      const current = resources.get(spoken);
      held.set(current?.name ?? spoken, current?.hash === hash ? current : { hash });
    }
    if (request.initialVersions.size > 0) greet = false;
  }
  for (const name of request.unsubscribe) {
    if (name === '*') {
      wildcard = false;
      greet = false;
      for (const known of held.keys()) if (!explicit.has(known)) held.delete(known);
      for (const known of explicit) if (!held.has(known)) held.set(known, ABSENT);
      explicit.clear();
      continue;
    }
    explicit.delete(name);
    due.delete(name);
    // What was offered unasked is forgotten with the rest: a client that asks for it again must be answered anew.
    if (offered instanceof Set) offered.delete(name);
    if (!wildcard) held.delete(name);
  }
  return { ...subscription, opened: true, wildcard, explicit, held, due, offered, greet: greet || subscription.greet };
}

/** What a client must still be told, and how the difference was found. */
interface Outstanding {
  readonly send: readonly Resource[];
  readonly remove: readonly string[];
  /** True when a client that is told all this holds exactly the snapshot's map. */
  readonly becomesMap: boolean;
}

function outstanding(subscription: Subscription, resources: ResourceMap): Outstanding {
  const { held, wildcard, due, refused, suspects, promised } = subscription;
  const found = diff(held, resources);
  const changed = wildcard ? [...found.added, ...found.updated] : found.updated;
  const lost = wildcard ? found.removed : found.removed.filter((name) => held.get(name)?.hash !== '');
  const gone = promised.size === 0 ? lost : lost.filter((name) => !promised.has(name));
  const exact = wildcard || (found.added.length === 0 && found.removed.length === 0);
  if (due.size === 0 && refused.size === 0 && suspects.size === 0) {
    return { send: changed, remove: gone, becomesMap: exact };
  }
  const allowed = changed.filter(({ name, hash }) => refused.get(name) !== hash || due.has(name));
  const send = new Map(allowed.map((resource) => [resource.name, resource]));
  const remove = new Set(gone);
  for (const name of due) {
    const resource = resources.get(name);
    if (resource !== undefined) send.set(name, resource);
    else if (!promised.has(name)) remove.add(name);
  }
  return { send: [...send.values()], remove: [...remove], becomesMap: exact && allowed.length === changed.length };
}

/** True when the client holds (or was never to be told) all of `resources`, and has said so. */
export function settled(subscription: Subscription, resources: ResourceMap): boolean {
  if (!subscription.opened) return true;
  if (subscription.inFlight !== undefined || subscription.greet) return false;
  if (subscription.held === resources && subscription.due.size === 0) return true;
  const { send, remove } = outstanding(subscription, resources);
  return send.length === 0 && remove.length === 0;
}

/** True when resources would be added or changed by the next response. */
export function hasUpdates(subscription: Subscription, resources: ResourceMap): boolean {
  return subscription.opened && outstanding(subscription, resources).send.length > 0;
}

/**
 * Owes the client these names, though nothing about them changed: those it has asked for again, and those it is about to ask
 * for, where they exist. The latter spare a warming cluster the way there and back.
 */
export function owe(subscription: Subscription, names: Iterable<string>, resources: ResourceMap): Subscription {
  const due = new Set(subscription.due);
  const fresh: string[] = [];
  for (const spoken of names) {
    if (due.has(spoken)) continue;
    if (!subscription.held.has(spoken)) {
      const resource = resources.get(spoken);
      if (resource === undefined || subscription.wildcard) continue;
      fresh.push(resource.name);
    }
    due.add(spoken);
  }
  if (due.size === subscription.due.size) return subscription;
  if (fresh.length === 0) return { ...subscription, due };
  const held = new Map(subscription.held);
  for (const name of fresh) held.set(name, ABSENT);
  return { ...subscription, due, held, offered: new Set([...subscription.offered, ...fresh]) };
}

/** The next response, unless one is in flight or there is nothing to say. What it holds back stays outstanding. */
export function respond(
  subscription: Subscription,
  resources: ResourceMap,
  nonce: string,
  permission: Permission = EVERYTHING,
): { subscription: Subscription; response: DeltaResponse | undefined } {
  if (!subscription.opened || subscription.inFlight !== undefined) return { subscription, response: undefined };
  if (subscription.held === resources && subscription.due.size === 0 && !subscription.greet) {
    return { subscription, response: undefined };
  }
  const all = outstanding(subscription, resources);
  const { due } = subscription;
  const allowedSends = permission.updates === 'all' ? all.send : all.send.filter(({ name }) => due.has(name));
  const suspect = allowedSends.find(({ name }) => subscription.suspects.has(name));
  const send = suspect === undefined ? portion(allowedSends) : [suspect];
  const remove = permission.removals === 'all' ? all.remove : all.remove.filter((name) => due.has(name));
  const complete = send.length === all.send.length && remove.length === all.remove.length;
  if (send.length === 0 && remove.length === 0 && !(subscription.greet && complete)) {
    const settledMap = complete && all.becomesMap ? resources : subscription.held;
    return { subscription: { ...subscription, held: settledMap }, response: undefined };
  }

  const before = [...send.map(({ name }) => name), ...remove].map(
    (name) => [name, subscription.held.get(name)] as const,
  );
  const sent = new Set(before.map(([name]) => name));
  const suspects = new Set(subscription.suspects);
  if (suspect !== undefined) suspects.delete(suspect.name);
  else suspects.clear();
  return {
    subscription: {
      ...subscription,
      held: complete && all.becomesMap ? resources : applied(subscription, send, remove),
      due: due.size === 0 ? due : new Set([...due].filter((name) => !sent.has(name))),
      inFlight: { nonce, resources: send, removed: remove, before },
      suspects,
      greet: false,
    },
    response: { type: subscription.type, nonce, resources: send, removed: remove },
  };
}

function applied(
  subscription: Subscription,
  send: readonly Resource[],
  remove: readonly string[],
): ReadonlyMap<string, Versioned> {
  const held = new Map<string, Versioned>(subscription.held);
  for (const resource of send) held.set(resource.name, resource);
  for (const name of remove) {
    if (subscription.wildcard) held.delete(name);
    else if (held.has(name)) held.set(name, ABSENT);
  }
  return held;
}
