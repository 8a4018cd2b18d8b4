import assert from 'node:assert/strict';
import pino from 'pino';
import { createMetrics } from '#controller/metrics.ts';
import { streamEvents } from '#controller/stream-events.ts';

describe('what is told of streams', () => {
  it('logs each refusal, of a flood twenty a second, and then how many it left out; the metric counts all', async () => {
    const lines: { key: string; unlogged?: number }[] = [];
    const metrics = createMetrics();
    let now = 0;
    const events = streamEvents({
      now: () => now,
      log: pino({}, { write: (line: string) => void lines.push(JSON.parse(line)) }),
      metrics,
      distribution: { acked: () => undefined, nacked: () => undefined },
      tell: () => undefined,
    });
    const refuse = (): void =>
      events.refused({ key: 'token-issuer', message: 'unknown' }, { address: '10.0.0.9:1', nodeId: undefined });
    for (let index = 0; index < 1_000; index += 1) refuse();
    assert.equal(lines.length, 20);
    now = 1_000;
    refuse();
    assert.deepEqual(
      lines.map(({ unlogged }) => unlogged),
      [...Array.from({ length: 20 }, () => undefined), 980],
    );
    const { values } = await metrics.refused.get();
    assert.deepEqual(
      values.map(({ value }) => value),
      [1_001],
    );
  });
});
