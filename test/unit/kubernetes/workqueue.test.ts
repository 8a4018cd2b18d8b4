import assert from 'node:assert/strict';
import { createWorkQueue } from '#kubernetes/workqueue.ts';
import { eventually } from '#test/support/eventually.ts';

/** A handler whose every turn is ended by the test. */
function gate(): {
  turns: { key: string; end: (result?: number | Error) => void }[];
  handle: (key: string) => Promise<number | void>;
} {
  const turns: { key: string; end: (result?: number | Error) => void }[] = [];
  return {
    turns,
    handle: (key) =>
      new Promise((resolve, reject) => {
        turns.push({ key, end: (result) => (result instanceof Error ? reject(result) : resolve(result)) });
      }),
  };
}

const soon = { deadlineMs: 2_000, everyMs: 1 };

describe('the work queue', () => {
  it('works on a key once however often it was added, and once more when it was added meanwhile', async () => {
    const { turns, handle } = gate();
    const queue = createWorkQueue({ handle });
    queue.add('a');
    queue.add('b');
    queue.add('b');
    assert.deepEqual(
      turns.map((turn) => turn.key),
      ['a'],
    );
    queue.add('a');
    queue.add('a');
    turns[0]?.end();
    await eventually('b has its turn', async () => turns.length === 2, soon);
    turns[1]?.end();
    await eventually('a has its second turn', async () => turns.length === 3, soon);
    turns[2]?.end();
    await queue.stop();
    assert.deepEqual(
      turns.map((turn) => turn.key),
      ['a', 'b', 'a'],
    );
  });

  it('works on as many keys at once as it may, and never on one twice at once', async () => {
    const { turns, handle } = gate();
    const queue = createWorkQueue({ handle, concurrency: 2 });
    for (const key of ['a', 'b', 'c', 'a']) queue.add(key);
    assert.deepEqual(
      turns.map((turn) => turn.key),
      ['a', 'b'],
    );
    assert.equal(queue.depth, 1);
    turns[1]?.end();
    await eventually('c has its turn', async () => turns[2]?.key === 'c', soon);
    turns[0]?.end();
    await eventually('a comes again', async () => turns[3]?.key === 'a', soon);
    turns[2]?.end();
    turns[3]?.end();
    await queue.stop();
  });

  it('brings a failing key back, later each time, and forgets the failures with a success', async () => {
    const failures: { failures: number; retryInMs: number }[] = [];
    let broken = true;
    let turns = 0;
    const queue = createWorkQueue({
      handle: () => {
        turns++;
        return broken ? Promise.reject(new Error('no')) : Promise.resolve();
      },
      firstWaitMs: 1,
      longestWaitMs: 4,
      random: () => 1,
      onFailure: ({ failures: count, retryInMs }) => {
        failures.push({ failures: count, retryInMs });
        broken = failures.length !== 4 && failures.length < 5;
      },
    });
    queue.add('a');
    await eventually('it succeeded after 4 failures', async () => turns === 5, soon);
    assert.deepEqual(failures, [
      { failures: 1, retryInMs: 1 },
      { failures: 2, retryInMs: 2 },
      { failures: 3, retryInMs: 4 },
      { failures: 4, retryInMs: 4 },
    ]);
    broken = true;
    queue.add('a');
    await eventually('it fails anew', async () => failures.length === 5, soon);
    assert.deepEqual(failures[4], { failures: 1, retryInMs: 1 });
    await queue.stop();
  });

  it('cuts a wait short when the key is added', async () => {
    let turns = 0;
    const queue = createWorkQueue({
      handle: () => Promise.resolve(++turns === 1 ? 3_600_000 : undefined),
    });
    queue.add('a');
    await eventually('the first turn is over', async () => turns === 1, soon);
    queue.add('a');
    await eventually('the second turn came', async () => turns === 2, soon);
    await queue.stop();
  });

  it('stops when the work under way has ended, and tells that work', async () => {
    let told = false;
    let end = (): void => undefined;
    const queue = createWorkQueue({
      handle: (_key, signal) =>
        new Promise((resolve) => {
          signal.addEventListener('abort', () => (told = true));
          end = resolve;
        }),
    });
    queue.add('a');
    queue.add('b');
    let stopped = false;
    const stopping = queue.stop().then(() => (stopped = true));
    await Promise.resolve();
    assert.equal(told, true);
    assert.equal(stopped, false);
    end();
    await stopping;
    assert.equal(queue.depth, 0);
  });
});
