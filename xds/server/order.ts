/**
 * Make before break, for all types of one stream. Envoy acknowledges clusters only when they are warm, so what warms
 * them (their endpoints, their secrets) leaves in the same turn and is never held; listeners and routes, which may name
 * the new clusters, wait for that acknowledgement; and nothing is taken away before what pointed at it is gone.
 *
 *   add:     CDS + EDS + SDS → CDS ACK → LDS, RDS
 *   remove:  LDS, RDS → their ACK → CDS, EDS
 */
import type { ProxySnapshot } from '#xds/cache/snapshot.ts';
import { CLUSTER, ENDPOINTS, LISTENER, ROUTES, SECRET, TYPES, type TypeUrl } from '#xds/cache/types.ts';
import type { DeltaRequest, DeltaResponse } from './messages.ts';
import {
  EVERYTHING,
  hasUpdates,
  openSubscription,
  owe,
  type Permission,
  receive,
  respond,
  type Subscription,
  settled,
  type Verdict,
} from './subscription.ts';

/** Everything that the server knows of one stream. */
export interface StreamState {
  readonly subscriptions: Readonly<Record<TypeUrl, Subscription>>;
  /** Number of the last response: the nonce, unique in the stream. */
  readonly sequence: number;
  /** Names that sent clusters and listeners need, of types the client has not opened yet. */
  readonly owed: Readonly<Record<typeof ENDPOINTS | typeof SECRET, ReadonlySet<string>>>;
}

const NONE: ReadonlySet<string> = new Set();
const HELD: Permission = { updates: 'due', removals: 'due' };
const NO_REMOVALS: Permission = { updates: 'all', removals: 'due' };

/** `secrets`: names of the secrets that every sidecar is given, sooner or later. */
export function openStream(secrets: ReadonlySet<string> = NONE): StreamState {
  const entries = TYPES.map((type) => [type, openSubscription(type, type === SECRET ? secrets : NONE)] as const);
  return {
    subscriptions: Object.fromEntries(entries) as Record<TypeUrl, Subscription>,
    sequence: 0,
    owed: { [ENDPOINTS]: NONE, [SECRET]: NONE },
  };
}

/** Takes a request of a served type in, and gives the responses that may leave now. */
export function handle(
  stream: StreamState,
  type: TypeUrl,
  request: DeltaRequest,
  snapshot: ProxySnapshot,
): { stream: StreamState; responses: readonly DeltaResponse[]; verdict: Verdict } {
  const { subscription, verdict } = receive(stream.subscriptions[type], request, snapshot[type]);
  return { ...advance(withSubscription(stream, subscription), snapshot), verdict };
}

/** The responses that may leave now, in their order. Called when the snapshot or the stream's state changed. */
export function advance(
  stream: StreamState,
  snapshot: ProxySnapshot,
): { stream: StreamState; responses: readonly DeltaResponse[] } {
  const responses: DeltaResponse[] = [];
  let state = stream;
  const turn = (type: TypeUrl, permission: Permission): DeltaResponse | undefined => {
    const nonce = String(state.sequence + 1);
    const result = respond(state.subscriptions[type], snapshot[type], nonce, permission);
    state = withSubscription(state, result.subscription);
    if (result.response === undefined) return undefined;
    responses.push(result.response);
    state = { ...state, sequence: state.sequence + 1 };
    return result.response;
  };

  const pointersSettled = (): boolean =>
    settled(state.subscriptions[LISTENER], snapshot[LISTENER]) &&
    settled(state.subscriptions[ROUTES], snapshot[ROUTES]);
  const makesClusters = hasUpdates(state.subscriptions[CLUSTER], snapshot[CLUSTER]);
  const clustersMayGo = !makesClusters && pointersSettled();

  const clusters = turn(CLUSTER, clustersMayGo ? EVERYTHING : NO_REMOVALS);
  state = oweNeeds(state, clusters, snapshot);
  turn(ENDPOINTS, clustersMayGo ? EVERYTHING : NO_REMOVALS);
  state = oweNeeds(state, undefined, snapshot);
  turn(SECRET, clustersMayGo ? EVERYTHING : NO_REMOVALS);

  const inFlight = state.subscriptions[CLUSTER].inFlight;
  const unsent = hasUpdates(state.subscriptions[CLUSTER], snapshot[CLUSTER]);
  const warming = unsent || (inFlight !== undefined && inFlight.resources.length > 0);
  const listeners = turn(LISTENER, warming ? HELD : EVERYTHING);
  const listenersSettled = settled(state.subscriptions[LISTENER], snapshot[LISTENER]);
  // Routes that a new listener waits for go while clusters warm, but not before these: they may name what was not even sent.
  if (!unsent) turn(ROUTES, warming ? HELD : listenersSettled ? EVERYTHING : NO_REMOVALS);
  if (listeners !== undefined) {
    state = oweNeeds(state, listeners, snapshot);
    turn(SECRET, NO_REMOVALS);
  }
  return { stream: state, responses };
}

/**
 * Notes what a response makes Envoy wait for, and owes it once Envoy has asked for anything of that type: what it still holds
 * from an earlier stream it says in its first request, and only then is it known what it needs.
 */
function oweNeeds(stream: StreamState, response: DeltaResponse | undefined, snapshot: ProxySnapshot): StreamState {
  let { owed } = stream;
  if (response !== undefined) {
    const endpoints = response.resources.flatMap((resource) => resource.endpoints ?? []);
    const secrets = response.resources.flatMap((resource) => resource.secrets ?? []);
    owed = {
      [ENDPOINTS]: endpoints.length === 0 ? owed[ENDPOINTS] : new Set([...owed[ENDPOINTS], ...endpoints]),
      [SECRET]: secrets.length === 0 ? owed[SECRET] : new Set([...owed[SECRET], ...secrets]),
    };
  }
  let state: StreamState = { ...stream, owed };
  for (const type of [ENDPOINTS, SECRET] as const) {
    const subscription = state.subscriptions[type];
    if (!subscription.opened || owed[type].size === 0) continue;
    state = withSubscription(
      { ...state, owed: { ...state.owed, [type]: NONE } },
      owe(subscription, owed[type], snapshot[type]),
    );
  }
  return state;
}

function withSubscription(stream: StreamState, subscription: Subscription): StreamState {
  if (stream.subscriptions[subscription.type] === subscription) return stream;
  return { ...stream, subscriptions: { ...stream.subscriptions, [subscription.type]: subscription } };
}
