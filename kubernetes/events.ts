/**
 * Events (`events.k8s.io/v1`) on the objects that they are about. The same event again within its series adds to the
 * series' count, written at most every half minute; a flood is cut off. Recording never throws and never waits: an
 * Event is a courtesy to whoever runs `kubectl describe`.
 */
import { isStatus } from './error.ts';
import { eventName, eventNamespace, type EventNote, eventObject } from './event-object.ts';
import { Events } from './kinds.ts';
import { microTime } from './lease.ts';
import { pathOf } from './paths.ts';
import type { KubernetesClient } from './types.ts';

export interface EventRecorderOptions {
  readonly client: KubernetesClient;
  /** E.g. `openservicemesh.io/osm-operator`. */
  readonly controller: string;
  /** The pod's name. */
  readonly instance: string;
  /** Milliseconds since 1970. */
  readonly now?: () => number;
  readonly onError?: (error: unknown) => void;
}

export interface EventRecorder {
  record(event: EventNote): void;
  /** Events that were left out because there were too many. */
  readonly dropped: number;
  /** Resolves when all that was recorded has been sent. */
  flush(): Promise<void>;
}

/** An event that did not come back for this long begins a new series. */
const seriesMs = 6 * 60_000;
const rewriteMs = 30_000;
/** New events at once, and one more each second after that. */
const burst = 25;

interface Series {
  readonly name: string;
  readonly namespace: string;
  count: number;
  seenAt: number;
  writtenAt: number;
}

export function createEventRecorder(options: EventRecorderOptions): EventRecorder {
  const { client, controller, instance, now = Date.now } = options;
  const series = new Map<string, Series>();
  let allowance = burst;
  let refilledAt = now();
  let dropped = 0;
  let sequence = 0;
  let tail: Promise<void> = Promise.resolve();

  /** One after the other: an event's series is never updated before the event is made. */
  function send(call: () => Promise<unknown>): void {
    tail = tail.then(call).then(
      () => undefined,
      (error: unknown) => options.onError?.(error),
    );
  }

  function spend(at: number): boolean {
    allowance = Math.min(burst, allowance + Math.max(0, at - refilledAt) / 1_000);
    refilledAt = at;
    if (allowance < 1) return false;
    allowance -= 1;
    return true;
  }

  function forgetOld(at: number): void {
    for (const [key, each] of series) if (at - each.seenAt > seriesMs) series.delete(key);
  }

  function create(event: EventNote, known: Series, at: number): Promise<unknown> {
    return client.create(Events, eventObject(event, known.name, { controller, instance }, at));
  }

  function update(known: Series, at: number): Promise<unknown> {
    const path = pathOf(Events, known);
    const body = { series: { count: known.count, lastObservedTime: microTime(at) } };
    return client
      .request('PATCH', path, body, { 'content-type': 'application/merge-patch+json' })
      .catch((error: unknown) => {
        if (!isStatus(error, 404)) throw error; // the server forgets events after an hour
      });
  }

  return {
    record(event) {
      const at = now();
      forgetOld(at);
      const { regarding, type, reason, action, note } = event;
      const { name, namespace, uid } = regarding.metadata;
      const key = JSON.stringify([regarding.kind, namespace, name, uid, type, reason, action, note]);
      const known = series.get(key);
      if (known !== undefined) {
        known.count++;
        known.seenAt = at;
        if (at - known.writtenAt < rewriteMs) return;
        known.writtenAt = at;
        send(() => update(known, at));
        return;
      }
      if (!spend(at)) {
        dropped++;
        return;
      }
      const fresh: Series = {
        name: eventName(name, `${at.toString(16)}${(sequence++).toString(16).padStart(4, '0')}`),
        namespace: eventNamespace(regarding),
        count: 1,
        seenAt: at,
        writtenAt: at,
      };
      series.set(key, fresh);
      send(() => create(event, fresh, at));
    },
    get dropped() {
      return dropped;
    },
    flush: () => tail,
  };
}
