/** A load that goes on while a test changes things, and whose report can be read at any time. */
import assert from 'node:assert/strict';
import { eventually } from '#test/support/eventually.ts';
import { lab, loadCommand, type LoadReport, readReport, type Seen } from './lab.ts';

/** However a test ends, a load does not outlast this, unless it is said. */
const LIMIT_SECONDS = 240;

export interface SteadyLoad {
  readonly url: string;
  /** Calls that are made at the same time, each over an HTTP connection of its own. */
  readonly workers: number;
  /** What it saw until about a quarter of a second ago. */
  report(): LoadReport;
  /** Ends it, and gives the last report. */
  stop(): Promise<LoadReport>;
}

/** `url` as load.mjs takes it: `http://…` on kept-alive connections, `tcp://host:port` with a connection a word. */
export async function steadyLoad(
  namespace: string,
  app: string,
  url: string,
  options: { readonly workers?: number; readonly pauseMs?: number; readonly limitSeconds?: number } = {},
): Promise<SteadyLoad> {
  const { workers = 2, pauseMs = 15, limitSeconds = LIMIT_SECONDS } = options;
  const command = loadCommand(url, { method: 'GET', seconds: limitSeconds, workers, pauseMs, untilEnd: true });
  const running = await lab.background(namespace, app, command, { input: true });
  const report = (): LoadReport => readReport(running.output());
  await eventually(`${app} calls ${url}`, async () => report().sent > workers, { everyMs: 50 });
  return {
    url,
    workers,
    report,
    async stop() {
      running.end();
      await running.exited;
      return report();
    },
  };
}

/** Fails unless every call since `earlier` (or since the load began) was answered well, and there were some. */
export function assertNoneLost(load: SteadyLoad, earlier?: LoadReport): void {
  const now = load.report();
  const good = ({ statuses }: LoadReport): number => (statuses['200'] ?? 0) + (statuses['answered'] ?? 0);
  const counted = ({ statuses, errors }: LoadReport): number =>
    [...Object.values(statuses), ...Object.values(errors)].reduce((sum, count) => sum + count, 0);
  const since = (count: (report: LoadReport) => number): number =>
    count(now) - (earlier === undefined ? 0 : count(earlier));
  const state = (): string => `${load.url}: ${JSON.stringify(now, undefined, 1)}`;
  assert.ok(since(counted) > 0, `not called meanwhile: ${state()}`);
  assert.equal(since(counted) - since(good), 0, `calls were lost: ${state()}`);
}

/** All answers whose key begins so, as one. */
export function answersLike({ answers }: LoadReport, prefix: string): Seen {
  const found = Object.entries(answers)
    .filter(([key]) => key.startsWith(prefix))
    .map(([, seen]) => seen);
  return {
    count: found.reduce((sum, { count }) => sum + count, 0),
    first: Math.min(...found.map(({ first }) => first)),
    last: Math.max(0, ...found.map(({ last }) => last)),
  };
}

/** The share in per cent that pods named `workload-…` had in the answers to the next `calls` calls. */
export async function shareOf(load: SteadyLoad, workload: string, calls: number): Promise<number> {
  const count = (report: LoadReport): { own: number; all: number } => {
    const key = 'answered' in report.statuses ? 'answered ' : '200 ';
    return { own: answersLike(report, `${key}${workload}-`).count, all: answersLike(report, key).count };
  };
  const before = count(load.report());
  return eventually(
    `${calls} more calls of ${load.url}`,
    async () => {
      const now = count(load.report());
      const all = now.all - before.all;
      return all >= calls ? (100 * (now.own - before.own)) / all : undefined;
    },
    { deadlineMs: 30_000, state: async () => JSON.stringify(load.report()) },
  );
}
