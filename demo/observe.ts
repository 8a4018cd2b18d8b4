/** Reads the bookstore's counters from the cluster and judges how they moved, in windows counted in attempts, not in seconds. */
import type { Movement, Step, Watched } from './steps.ts';
import { WATCHED } from './steps.ts';

/** Runs kubectl and returns its standard output; throws with its standard error. */
export type Kubectl = (args: readonly string[], input?: string) => Promise<string>;

export interface Reading {
  readonly counters: Readonly<Record<Watched, number>>;
  /** Rounds that the buyer and the thief have begun. */
  readonly attempts: { readonly buyer: number; readonly thief: number };
}

type Raw = Readonly<Record<string, number>>;

export async function readCounters(kubectl: Kubectl): Promise<Reading> {
  const [buyer, thief, v1, v2, warehouse] = await Promise.all([
    lastCounters(kubectl, 'bookbuyer', 'app=bookbuyer', 'bookbuyer'),
    lastCounters(kubectl, 'bookthief', 'app=bookthief', 'bookthief'),
    lastCounters(kubectl, 'bookstore', 'app=bookstore,version=v1', 'bookstore'),
    lastCounters(kubectl, 'bookstore', 'app=bookstore,version=v2', 'bookstore'),
    lastCounters(kubectl, 'bookwarehouse', 'app=bookwarehouse', 'bookwarehouse'),
  ]);
  const of = (raw: Raw, name: string): number => raw[name] ?? 0;
  return {
    counters: {
      'buyer V1': of(buyer, 'boughtV1'),
      'buyer V2': of(buyer, 'boughtV2'),
      thief: of(thief, 'stolenV1') + of(thief, 'stolenV2'),
      store: of(v1, 'booksSold') + of(v2, 'booksSold'),
      warehouse: of(warehouse, 'stored'),
    },
    attempts: { buyer: of(buyer, 'attempts'), thief: of(thief, 'attempts') },
  };
}

/** The last counter line that a program printed; nothing yet when it has not started. */
async function lastCounters(kubectl: Kubectl, namespace: string, selector: string, container: string): Promise<Raw> {
  let log: string;
  try {
    log = await kubectl(['logs', '-n', namespace, '-l', selector, '-c', container, '--tail=40']);
  } catch {
    return {};
  }
  for (const line of log.split('\n').reverse()) {
    if (line.startsWith('{"app":') && !line.includes('"error"')) return JSON.parse(line) as Raw;
  }
  return {};
}

export interface Judgement {
  readonly ok: boolean;
  readonly rows: readonly {
    readonly name: Watched;
    readonly before: number;
    readonly after: number;
    readonly expected: Movement;
    readonly ok: boolean;
  }[];
}

/** Compares two readings of one window with what the step expects. */
export function judge(before: Reading, after: Reading, expected: Step['expected']): Judgement {
  const gain = (name: Watched): number => after.counters[name] - before.counters[name];
  const share = gain('buyer V1') / Math.max(1, gain('buyer V1') + gain('buyer V2'));
  const rows = WATCHED.map((name) => {
    const ok = moved(expected[name], gain(name), share);
    return { name, before: before.counters[name], after: after.counters[name], expected: expected[name], ok };
  });
  return { ok: rows.every((row) => row.ok), rows };
}

function moved(expected: Movement, gain: number, share: number): boolean {
  switch (expected) {
    case 'rises':
      return gain > 0;
    case 'frozen':
      return gain === 0;
    case 'equal':
      // 60 purchases split fairly fall outside this range once in some two thousand windows.
      return gain > 0 && share > 0.28 && share < 0.72;
  }
}

/** How many rounds of buyer and thief a window holds. */
export function windowLength(expected: Step['expected']): number {
  return Object.values(expected).includes('equal') ? 60 : 8;
}
