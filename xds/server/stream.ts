import type { Versioned } from '#xds/cache/diff.ts';
import type { ProxySnapshot } from '#xds/cache/snapshot.ts';
import { isTypeUrl, SHORT_NAME, TYPES, type TypeUrl } from '#xds/cache/types.ts';
import type { Resource } from '#xds/resource.ts';
import type { AuthenticatedProxy } from './auth.ts';
import type { DeltaRequest, DeltaResponse } from './messages.ts';
import { advance, handle, openStream, type StreamState } from './order.ts';
import { receive, settled, type Verdict } from './subscription.ts';

/** A refusal by Envoy, in its own words. */
export interface Nack {
  readonly type: TypeUrl;
  readonly error: string;
  /** What it refused, as far as its words tell; empty when they name none of several resources. */
  readonly culprits: readonly Resource[];
  /** Milliseconds since the epoch. */
  readonly at: number;
}

/** Where one type of one stream stands, for the API and the CLI. */
export interface TypeStatus {
  readonly type: string;
  readonly resources: number;
  readonly state: 'not-asked' | 'sent' | 'synced' | 'pending';
  readonly lastNack: { readonly error: string; readonly resources: readonly string[]; readonly at: number } | undefined;
}

/** What the stream tells its owner. */
export interface StreamEvents {
  /** Puts a response on the wire; false asks to wait for `drained`. */
  readonly write: (response: DeltaResponse) => boolean;
  readonly acked: (type: TypeUrl) => void;
  readonly nacked: (nack: Nack) => void;
  readonly now: () => number;
}

/** One sidecar's stream: the pure protocol (`order.ts`), the newest snapshot, and whether the wire takes more. */
export class ProxyStream {
  readonly proxy: AuthenticatedProxy;
  readonly openedAt: number;
  readonly #events: StreamEvents;
  #state: StreamState;
  #snapshot: ProxySnapshot | undefined;
  #blocked = false;
  readonly #nacks = new Map<TypeUrl, Nack>();

  constructor(proxy: AuthenticatedProxy, secrets: ReadonlySet<string>, events: StreamEvents) {
    this.proxy = proxy;
    this.#state = openStream(secrets);
    this.#events = events;
    this.openedAt = events.now();
  }

  /** The newest snapshot replaces one that was not sent yet. */
  update(snapshot: ProxySnapshot): void {
    if (snapshot === this.#snapshot) return;
    this.#snapshot = snapshot;
    this.#push();
  }

  receive(request: DeltaRequest): void {
    const { type } = request;
    if (!isTypeUrl(type)) {
      // Never silence: what we do not serve does not exist.
      if (request.subscribe.length > 0)
        this.#write([{ type, nonce: 'unknown', resources: [], removed: request.subscribe }]);
      return;
    }
    if (this.#snapshot === undefined || this.#blocked) {
      const held = this.#snapshot?.[type] ?? new Map<string, Resource>();
      const { subscription, verdict } = receive(this.#state.subscriptions[type], request, held);
      this.#state = { ...this.#state, subscriptions: { ...this.#state.subscriptions, [type]: subscription } };
      this.#judge(type, verdict);
      return;
    }
    const { stream, responses, verdict } = handle(this.#state, type, request, this.#snapshot);
    this.#state = stream;
    this.#write(responses);
    this.#judge(type, verdict);
  }

  /** The wire takes more again. */
  drained(): void {
    if (!this.#blocked) return;
    this.#blocked = false;
    this.#push();
  }

  /** What the client holds under a name (a whole Resource when this stream sent it); undefined when nothing. */
  held(type: TypeUrl, name: string): Versioned | undefined {
    const version = this.#state.subscriptions[type].held.get(name);
    return version?.hash === '' ? undefined : version;
  }

  /** True when Envoy has acknowledged all of its newest snapshot (or of the types given). */
  settled(types: readonly TypeUrl[] = TYPES): boolean {
    const snapshot = this.#snapshot;
    if (snapshot === undefined) return false;
    return types.every((type) => settled(this.#state.subscriptions[type], snapshot[type]));
  }

  status(): TypeStatus[] {
    return TYPES.map((type) => {
      const subscription = this.#state.subscriptions[type];
      const nack = this.#nacks.get(type);
      return {
        type: SHORT_NAME[type],
        resources: [...subscription.held.values()].filter(({ hash }) => hash !== '').length,
        state: !subscription.opened
          ? 'not-asked'
          : subscription.inFlight !== undefined
            ? 'sent'
            : this.settled([type])
              ? 'synced'
              : 'pending',
        lastNack: nack && { error: nack.error, resources: nack.culprits.map(({ name }) => name), at: nack.at },
      };
    });
  }

  #push(): void {
    if (this.#snapshot === undefined || this.#blocked) return;
    const { stream, responses } = advance(this.#state, this.#snapshot);
    this.#state = stream;
    this.#write(responses);
  }

  /** All responses of a turn belong together; a full wire only keeps the next turn waiting. */
  #write(responses: readonly DeltaResponse[]): void {
    for (const response of responses) if (!this.#events.write(response)) this.#blocked = true;
  }

  #judge(type: TypeUrl, verdict: Verdict): void {
    switch (verdict.kind) {
      case 'none':
      case 'stale':
        return;
      case 'ack':
        this.#nacks.delete(type);
        this.#events.acked(type);
        return;
      case 'nack': {
        const nack = { type, error: verdict.error, culprits: verdict.culprits, at: this.#events.now() };
        this.#nacks.set(type, nack);
        this.#events.nacked(nack);
        return;
      }
      default:
        verdict satisfies never;
    }
  }
}
