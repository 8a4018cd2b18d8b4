/** What programs/load.mjs is told, and what it tells. */

export interface LoadOptions {
  readonly method: string;
  readonly seconds: number;
  readonly workers: number;
  readonly pauseMs: number;
}

/** All times in milliseconds since the epoch. */
export interface LoadReport {
  readonly sent: number;
  /** HTTP connections that were opened. */
  readonly connections: number;
  /** How many by HTTP status, or `answered` for TCP. */
  readonly statuses: Readonly<Record<string, number>>;
  readonly errors: Readonly<Record<string, number>>;
  /** The same by `<status> <pod>`, `<status> <x-osm-denied>` and error. */
  readonly answers: Readonly<Record<string, Seen>>;
  readonly failures: readonly unknown[];
  /** The longest time that a call took, or has been unanswered by now. */
  readonly longestMs: number;
  readonly began: number;
  readonly at: number;
  /** In the last report alone: what ended the load. */
  readonly ended?: 'limit' | 'input' | 'signal';
}

export interface Seen {
  readonly count: number;
  readonly first: number;
  readonly last: number;
}

export function loadCommand(url: string, options: LoadOptions & { readonly untilEnd?: boolean }): string[] {
  return ['node', '/programs/load.mjs', JSON.stringify({ url, ...options })];
}

/** The newest report in a load's output, of which the last line may be there in part. */
export function readReport(output: string): LoadReport {
  const whole = output.slice(0, output.lastIndexOf('\n') + 1).split('\n');
  const line = whole.findLast((text) => text.startsWith('{"load"'));
  if (line === undefined) throw new Error(`the load gave no report:\n${output}`);
  return (JSON.parse(line) as { load: LoadReport }).load;
}

const sum = (counts: Readonly<Record<string, number>>): number =>
  Object.values(counts).reduce((all, count) => all + count, 0);

/** Calls of which the end is known: answered in whatever way, or lost. */
export const counted = ({ statuses, errors }: LoadReport): number => sum(statuses) + sum(errors);

/** Calls that were answered well. */
export const answeredWell = ({ statuses }: LoadReport): number => (statuses['200'] ?? 0) + (statuses['answered'] ?? 0);

/** All answers whose key begins so, as one. */
export function answersLike({ answers }: LoadReport, prefix: string): Seen {
  const found = Object.entries(answers)
    .filter(([key]) => key.startsWith(prefix))
    .map(([, seen]) => seen);
  return {
    count: found.reduce((all, { count }) => all + count, 0),
    first: Math.min(...found.map(({ first }) => first)),
    last: Math.max(0, ...found.map(({ last }) => last)),
  };
}
