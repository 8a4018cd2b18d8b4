/**
 * PURE: which Events the leading controller has to write for the problems that it sees. A problem is told once when it has
 * stood for a moment, again when it was gone and is back, and now and then while it stands: the API server keeps an Event for
 * an hour.
 */
import type { EventNote } from '#kubernetes/event-object.ts';
import type { KubeObject } from '#kubernetes/types.ts';
import { compareText } from '#mesh/order.ts';
import { identityOf, type Problem } from '#mesh/problem.ts';

/** A problem with the object that it is about, as Events name it. */
export interface Seen {
  readonly problem: Problem;
  readonly subject: KubeObject;
}

interface Sighting extends Seen {
  /** When it appeared to this leader, in milliseconds since 1970. */
  readonly since: number;
  /** It stood when this leader began: the one before may have told it. */
  readonly inherited: boolean;
  readonly standing: boolean;
  /** When it was last told, and when that was last tried. */
  readonly toldAt: number | undefined;
  readonly triedAt: number | undefined;
}

/** What a leader knows of problems, by identity. A new leader knows nothing. */
export type Memory = ReadonlyMap<string, Sighting>;

/** All in milliseconds but the two counts. */
export interface Pace {
  /**
   * That a problem has stood before it is told. Who applies a folder stores one object before the other that it names: what
   * is whole a moment later would be warned of for an hour.
   */
  readonly settleMs: number;
  /** Between two Events of one problem that comes and goes. */
  readonly againMs: number;
  /** Between two Events of one that stands; below the hour that Events are kept for. */
  readonly refreshMs: number;
  /** Before a failed try is repeated. */
  readonly retryMs: number;
  /** Events written at once. */
  readonly atOnce: number;
  /** Standing problems that are told as Events at all: the API and the metric have every one. */
  readonly most: number;
}

export const usualPace: Pace = {
  settleMs: 3000,
  againMs: 30_000,
  refreshMs: 20 * 60_000,
  retryMs: 60_000,
  atOnce: 20,
  most: 500,
};

/** One Event to write. `once`: it may be there already, and then stands for itself; `again`: it counts one more. */
export interface Telling {
  readonly identity: string;
  readonly how: 'once' | 'again';
  readonly event: EventNote;
}

/** The memory with what is seen now. `memory` is undefined at a leader's first look. */
export function look(memory: Memory | undefined, seen: readonly Seen[], now: number, pace: Pace): Memory {
  const next = new Map<string, Sighting>();
  for (const { problem, subject } of seen) {
    // Another object of the same name has told nothing yet.
    const identity = `${subject.metadata.uid}\u0000${identityOf(problem)}`;
    const known = memory?.get(identity);
    const fresh = { since: now, inherited: memory === undefined, toldAt: undefined, triedAt: undefined };
    const since = known?.standing === false ? { since: now } : {};
    next.set(identity, { ...fresh, ...known, ...since, problem, subject, standing: true });
  }
  // What is solved is remembered only as long as its coming back would be told too soon after it.
  for (const [identity, sighting] of memory ?? []) {
    if (next.has(identity) || sighting.toldAt === undefined || now - sighting.toldAt >= pace.againMs) continue;
    next.set(identity, { ...sighting, standing: false });
  }
  return next;
}

/** What to write now, at most `atOnce`: the untold before the told, the latest first. */
export function due(memory: Memory, now: number, pace: Pace): Telling[] {
  const standing = [...memory].filter(([, sighting]) => sighting.standing);
  let room = pace.most - standing.filter(([, { toldAt }]) => toldAt !== undefined).length;
  const ranked = standing
    .filter(([, sighting]) => isDue(sighting, now, pace))
    .sort(([a, left], [b, right]) => compareUrgency(left, right) || compareText(a, b))
    .filter(([, { toldAt }]) => toldAt !== undefined || room-- > 0);
  return ranked.slice(0, pace.atOnce).map(([identity, { problem, subject, inherited, toldAt }]) => ({
    identity,
    how: inherited && toldAt === undefined ? 'once' : 'again',
    event: eventOf(problem, subject),
  }));
}

/** Milliseconds until the next problem has stood long enough to be told; undefined where none is that young. */
export function settlesIn(memory: Memory, now: number, { settleMs }: Pace): number | undefined {
  const young = [...memory.values()].filter(({ standing, since }) => standing && now - since < settleMs);
  return young.length === 0 ? undefined : Math.min(...young.map(({ since }) => since + settleMs - now));
}

/** The memory after these were tried; `failed` holds those that were not written. */
export function afterTelling(
  memory: Memory,
  tried: readonly Telling[],
  failed: ReadonlySet<string>,
  now: number,
): Memory {
  const next = new Map(memory);
  for (const { identity } of tried) {
    const sighting = next.get(identity);
    if (sighting === undefined) continue;
    next.set(identity, { ...sighting, triedAt: now, toldAt: failed.has(identity) ? sighting.toldAt : now });
  }
  return next;
}

/** Standing problems that no Event tells of yet. */
export function untold(memory: Memory): number {
  return [...memory.values()].filter(({ standing, toldAt }) => standing && toldAt === undefined).length;
}

/** The reason is the problem's key in CamelCase, and the note ends with the key itself: it is what docs and metrics say. */
export function eventOf({ key, field, message, remedy }: Problem, subject: KubeObject): EventNote {
  return {
    regarding: subject,
    ...(field === '' ? {} : { fieldPath: field }),
    type: 'Warning',
    reason: key.replace(/(?:^|-)([a-z0-9])/g, (_, letter: string) => letter.toUpperCase()),
    action: 'Compile',
    note: `${message} ${remedy} (${field === '' ? key : `${key}, ${field}`})`,
  };
}

function isDue({ since, toldAt, triedAt }: Sighting, now: number, pace: Pace): boolean {
  if (now - since < pace.settleMs) return false;
  const failed = triedAt !== undefined && triedAt !== toldAt;
  if (failed && now - triedAt < pace.retryMs) return false;
  if (toldAt === undefined) return true;
  return now - toldAt >= (since > toldAt ? pace.againMs : pace.refreshMs);
}

/** Negative when `a` comes first. Of those that a new leader finds, the object that was changed last. */
function compareUrgency(a: Sighting, b: Sighting): number {
  return (a.toldAt ?? -1) - (b.toldAt ?? -1) || b.since - a.since || compareVersions(b.subject, a.subject);
}

/** Resource versions count up; what does not, still has an order. */
function compareVersions(a: KubeObject, b: KubeObject): number {
  const [left = '', right = ''] = [a.metadata.resourceVersion, b.metadata.resourceVersion];
  return left.length - right.length || compareText(left, right);
}
