/**
 * A load that cannot stop, hang or lose a call unnoticed. Whoever asserts that none was lost is told of a load that has ended, and
 * of one that is answered no more: counts that stand still prove nothing. Its end is judged as well, with every call it has sent.
 */
import assert from 'node:assert/strict';
import { eventually } from '#test/support/eventually.ts';
import type { Background } from './lab.ts';
import { answeredWell, counted, type LoadReport, readReport } from './load-report.ts';

/** No call may take longer. Less than Envoy waits for an upstream, and load.mjs for an answer. */
const LONGEST_MS = 5000;

export interface SteadyLoad {
  readonly url: string;
  /** Calls that are made at the same time, each over an HTTP connection of its own. */
  readonly workers: number;
  /** What it saw until about a quarter of a second ago. */
  report(): LoadReport;
  /** Fails unless it goes on, or was stopped, and every call so far was answered well and in time. */
  assertNoneLost(): Promise<void>;
  /** Ends it, and gives the last report. Fails likewise, also where a call is left without an answer. */
  stop(): Promise<LoadReport>;
}

export interface WatchOptions {
  readonly url: string;
  readonly workers: number;
  /** A policy forbids some of the calls: they must be answered in time, but not well. */
  readonly mayBeRefused?: boolean;
  readonly longestMs?: number;
}

/** Watches load.mjs, which was started with `untilEnd`. */
export function watchLoad(running: Background, options: WatchOptions): SteadyLoad {
  const { url, workers, mayBeRefused = false, longestMs = LONGEST_MS } = options;
  let exited = false;
  let last: Promise<LoadReport> | undefined;
  void running.exited.then(() => (exited = true));

  const report = (): LoadReport => readReport(running.output());
  const fail = (what: string): never => assert.fail(`${url}: ${what}: ${JSON.stringify(report(), undefined, 1)}`);

  function assertInTime(now: LoadReport): void {
    if (now.longestMs > longestMs) fail(`a call was unanswered for longer than ${longestMs} ms`);
  }

  function assertAnsweredWell(now: LoadReport): void {
    if (counted(now) > answeredWell(now)) fail('calls were lost');
    if (answeredWell(now) === 0) fail('no call was answered');
  }

  /** By the difference of two reports that are both yet to come: the newest one may be from before a silence. */
  async function assertGoesOn(): Promise<void> {
    const newest = report();
    let first: LoadReport | undefined;
    const look = async (): Promise<boolean> => {
      const now = report();
      if (now.at > newest.at) first ??= now;
      return exited || now.ended !== undefined || (first !== undefined && counted(now) > counted(first));
    };
    await eventually(`${url} is called and answered`, look, {
      deadlineMs: longestMs,
      everyMs: 50,
      state: async () => JSON.stringify(report(), undefined, 1),
    });
    if (exited || report().ended !== undefined) failOfEnd();
  }

  function failOfEnd(): never {
    const { ended, began, at } = report();
    if (ended === 'limit') fail(`the load ended by its limit, ${Math.round((at - began) / 1000)} s after it began`);
    return fail(`the load ended by itself (${ended ?? 'without a last report'})`);
  }

  async function end(): Promise<LoadReport> {
    running.end();
    await eventually(`the load of ${url} has ended`, async () => exited, {
      deadlineMs: 2 * longestMs,
      everyMs: 50,
      state: async () => JSON.stringify(report(), undefined, 1),
    }).catch((error: unknown) => {
      running.stop();
      throw error;
    });
    const now = report();
    if (now.ended !== 'input') failOfEnd();
    if (counted(now) !== now.sent) fail(`${now.sent - counted(now)} calls are left without an answer`);
    assertInTime(now);
    if (!mayBeRefused) assertAnsweredWell(now);
    return now;
  }

  return {
    url,
    workers,
    report,
    async assertNoneLost() {
      if (last === undefined) await assertGoesOn();
      const now = last === undefined ? report() : await last;
      assertInTime(now);
      assertAnsweredWell(now);
    },
    stop: () => (last ??= end()),
  };
}
