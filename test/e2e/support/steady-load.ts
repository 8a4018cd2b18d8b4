/** A load that goes on while a test changes things, and whose report can be read at any time. */
import assert from 'node:assert/strict';
import { eventually } from '#test/support/eventually.ts';
import { lab } from './lab.ts';
import { answeredWell, answersLike, loadCommand, type LoadReport } from './load-report.ts';
import { type SteadyLoad, watchLoad } from './watched-load.ts';

export type { SteadyLoad } from './watched-load.ts';

/** However a test ends, a load does not outlast this. It is more than the longest walk takes: a load that reaches it has failed. */
const LIMIT_SECONDS = 900;

/** `url` as load.mjs takes it: `http://…` on kept-alive connections, `tcp://host:port` with a connection a word. */
export async function steadyLoad(
  namespace: string,
  app: string,
  url: string,
  options: { readonly workers?: number; readonly pauseMs?: number; readonly mayBeRefused?: boolean } = {},
): Promise<SteadyLoad> {
  const { workers = 2, pauseMs = 15, mayBeRefused = false } = options;
  const command = loadCommand(url, { method: 'GET', seconds: LIMIT_SECONDS, workers, pauseMs, untilEnd: true });
  const running = await lab.background(namespace, app, command, { input: true });
  const load = watchLoad(running, { url, workers, mayBeRefused });
  await eventually(`${app} calls ${url}`, async () => load.report().sent > workers, { everyMs: 50 });
  return load;
}

/** Ends the loads of a walk, and fails unless each had its floor of calls a second on average, all of them answered well. */
export async function assertSteadyUntilEnd(
  loads: readonly SteadyLoad[],
  floors: { readonly http: number; readonly tcp: number },
): Promise<void> {
  for (const load of loads) {
    const report = await load.stop();
    const perSecond = (1000 * answeredWell(report)) / (report.at - report.began);
    const { longestMs, sent } = report;
    console.log(
      `      ${sent} calls of ${load.url}, ${perSecond.toFixed(0)}/s, none lost; the longest ${longestMs} ms`,
    );
    const floor = floors[load.url.startsWith('tcp:') ? 'tcp' : 'http'];
    assert.ok(perSecond >= floor, `${load.url}: ${perSecond.toFixed(1)} calls/s, meant to be ${floor} at least`);
  }
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
