/** Reviews over HTTPS with kept-alive connections, as the API server sends them. */
import { setTimeout as delay } from 'node:timers/promises';
import { Pool } from 'undici';

export interface ReviewLoad {
  /** As many as go through `connections` connections, each sending its next review when it has its answer. */
  saturate(durationMs: number): Promise<LoadResult>;
  /** At a steady rate, whatever the answers take; latency counts from the moment a review was due. */
  steady(perSecond: number, durationMs: number): Promise<LoadResult>;
  close(): Promise<void>;
}

export interface LoadResult {
  readonly answers: number;
  readonly seconds: number;
  /** One an answer, in ms. */
  readonly latencies: readonly number[];
}

export interface ReviewLoadOptions {
  readonly origin: string;
  readonly ca: string;
  readonly connections: number;
  /** Sent in turn. */
  readonly bodies: readonly string[];
}

/** Any answer but a patch rejects the run: a refusal is cheap, and would be measured as speed. */
export function reviewLoad({ origin, ca, connections, bodies }: ReviewLoadOptions): ReviewLoad {
  const pool = new Pool(origin, { connections, connect: { ca } });
  let sent = 0;

  async function review(): Promise<void> {
    const body = bodies[sent++ % bodies.length] ?? '';
    const answer = await pool.request({
      method: 'POST',
      path: '/mutate-pod-creation?timeout=5s',
      headers: { 'content-type': 'application/json' },
      body,
    });
    const text = await answer.body.text();
    if (answer.statusCode !== 200 || !text.includes('"patchType":"JSONPatch"')) {
      throw new Error(`the injector answered ${answer.statusCode}: ${text.slice(0, 500)}`);
    }
  }

  async function timed(due: number, latencies: number[]): Promise<void> {
    await review();
    latencies.push(performance.now() - due);
  }

  return {
    async saturate(durationMs) {
      const latencies: number[] = [];
      const started = performance.now();
      const worker = async () => {
        while (performance.now() - started < durationMs) await timed(performance.now(), latencies);
      };
      await Promise.all(Array.from({ length: connections }, worker));
      return { answers: latencies.length, seconds: (performance.now() - started) / 1000, latencies };
    },
    async steady(perSecond, durationMs) {
      const latencies: number[] = [];
      const total = Math.round((perSecond * durationMs) / 1000);
      const started = performance.now();
      const all: Promise<void>[] = [];
      while (all.length < total) {
        const now = performance.now();
        for (let due = started + (all.length * 1000) / perSecond; due <= now && all.length < total; ) {
          all.push(timed(due, latencies));
          due = started + (all.length * 1000) / perSecond;
        }
        await delay(1);
      }
      await Promise.all(all);
      return { answers: latencies.length, seconds: (performance.now() - started) / 1000, latencies };
    },
    close: () => pool.close(),
  };
}
