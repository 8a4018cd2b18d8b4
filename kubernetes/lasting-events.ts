/**
 * Events of states that last, each under a name made from what it says. Whoever tells one again, after a restart or as
 * the next leader, finds it by that name instead of making another. Every call throws what the API server refuses.
 */
import { createHash } from 'node:crypto';
import { isAlreadyExists, isStatus } from './error.ts';
import { eventName, eventNamespace, type EventNote, eventObject, type Reporter } from './event-object.ts';
import { Events } from './kinds.ts';
import { microTime } from './lease.ts';
import { pathOf } from './paths.ts';
import type { KubeObject, KubernetesClient } from './types.ts';

export interface LastingEvents {
  /** Makes the Event, and leaves it as it is where it is there already. */
  tell(event: EventNote): Promise<void>;
  /** The same once more: counts in the series of the Event that is there, which also renews the hour that it is kept. */
  tellAgain(event: EventNote): Promise<void>;
}

export interface LastingEventsOptions extends Reporter {
  readonly client: Pick<KubernetesClient, 'get' | 'create' | 'request'>;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

interface Stored extends KubeObject {
  series?: { count: number };
}

export function createLastingEvents({ client, now, ...reporter }: LastingEventsOptions): LastingEvents {
  async function tell(event: EventNote): Promise<void> {
    try {
      await client.create(Events, eventObject(event, lastingName(event), reporter, now()));
    } catch (error) {
      if (!isAlreadyExists(error)) throw error;
    }
  }

  return {
    tell,
    async tellAgain(event) {
      const target = { namespace: eventNamespace(event.regarding), name: lastingName(event) };
      const found = await client.get<Stored>(Events, target.name, target.namespace);
      if (found === undefined) return tell(event);
      const series = { count: (found.series?.count ?? 1) + 1, lastObservedTime: microTime(now()) };
      const merge = { 'content-type': 'application/merge-patch+json' };
      try {
        await client.request('PATCH', pathOf(Events, target), { series }, merge);
      } catch (error) {
        if (!isStatus(error, 404)) throw error;
        await tell(event); // its hour ended just now
      }
    },
  };
}

/** The object's UID is part of it: an object that was made again has told nothing yet. */
function lastingName({ regarding, fieldPath, type, reason, action, note }: EventNote): string {
  const { kind, metadata } = regarding;
  const said = JSON.stringify([kind, metadata.uid, fieldPath, type, reason, action, note]);
  return eventName(metadata.name, createHash('sha256').update(said).digest('hex').slice(0, 16));
}
