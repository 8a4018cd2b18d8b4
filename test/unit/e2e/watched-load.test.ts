import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type SteadyLoad, watchLoad } from '#test/e2e/support/watched-load.ts';
import { eventually } from '#test/support/eventually.ts';

const PROGRAM = new URL('../../e2e/programs/load.mjs', import.meta.url).pathname;
const LONGEST_MS = 1000;

describe('a load that is watched', () => {
  let server: Server;
  let child: ChildProcess | undefined;
  let answers: (call: number) => 'well' | 'refused' | 'never';

  beforeEach(async () => {
    answers = () => 'well';
    let calls = 0;
    server = createServer((_request, response) => {
      const answer = answers((calls += 1));
      if (answer === 'never') return;
      response.writeHead(answer === 'well' ? 200 : 503).end('server');
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  });

  afterEach(() => {
    child?.kill('SIGKILL');
    server.closeAllConnections();
    server.close();
  });

  /** The program itself, without a cluster. */
  async function started(options: { seconds?: number; mayBeRefused?: boolean } = {}): Promise<SteadyLoad> {
    const { seconds = 60, mayBeRefused = false } = options;
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    const told = JSON.stringify({ url, workers: 2, pauseMs: 5, seconds, untilEnd: true });
    const running = spawn(process.execPath, [PROGRAM, told], { stdio: ['pipe', 'pipe', 'inherit'] });
    child = running;
    let output = '';
    running.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
    const load = watchLoad(
      {
        output: () => output,
        exited: new Promise((resolve) => running.on('close', () => resolve())),
        stop: () => running.kill('SIGTERM'),
        end: () => running.stdin.end(),
      },
      { url, workers: 2, mayBeRefused, longestMs: LONGEST_MS },
    );
    await eventually('it calls', async () => load.report().sent > 2, { everyMs: 20 });
    return load;
  }

  const exited = (): Promise<unknown> => new Promise((resolve) => child?.on('close', resolve));

  it('that goes on and is answered passes, again and again, and at its end', async () => {
    const load = await started();
    await load.assertNoneLost();
    await load.assertNoneLost();
    const { sent, statuses, ended } = await load.stop();
    assert.deepEqual({ statuses, ended }, { statuses: { 200: sent }, ended: 'input' });
    await load.assertNoneLost();
  });

  it('fails when its report is frozen, though all that it has counted was answered', async () => {
    const load = await started();
    await load.assertNoneLost();
    child?.kill('SIGSTOP');
    await assert.rejects(load.assertNoneLost(), /is called and answered: not within 1 s/);
    await assert.rejects(load.stop(), /has ended: not within 2 s/);
  });

  it('fails when nothing is answered any more', async () => {
    const load = await started();
    answers = () => 'never';
    await assert.rejects(load.assertNoneLost(), /is called and answered: not within 1 s/);
  });

  it('fails when one call hangs while others are answered', async () => {
    const load = await started();
    let hung = false;
    answers = () => (hung ? 'well' : ((hung = true), 'never'));
    await eventually('the call has hung', async () => load.report().longestMs > LONGEST_MS, { everyMs: 20 });
    await assert.rejects(load.assertNoneLost(), /a call was unanswered for longer than 1000 ms/);
  });

  it('fails when a call hangs that is given up after the end', async () => {
    const load = await started();
    let hung = false;
    answers = () => (hung ? 'well' : ((hung = true), 'never'));
    await eventually('a call hangs', async () => hung, { everyMs: 20 });
    const stopped = assert.rejects(load.stop(), /a call was unanswered for longer than 1000 ms/);
    await eventually('it has hung for long', async () => load.report().longestMs > LONGEST_MS, { everyMs: 20 });
    server.closeAllConnections();
    await stopped;
    await assert.rejects(load.assertNoneLost(), /a call was unanswered/, 'and for whoever asks later');
  });

  it('fails when it has ended by its limit, and says so', async () => {
    const load = await started({ seconds: 0.4 });
    await exited();
    await assert.rejects(load.assertNoneLost(), /the load ended by its limit, 0 s after it began/);
    await assert.rejects(load.stop(), /the load ended by its limit/);
  });

  it('fails when it was killed, while it should run or before it is stopped', async () => {
    const load = await started();
    child?.kill('SIGKILL');
    await exited();
    await assert.rejects(load.assertNoneLost(), /the load ended by itself \(without a last report\)/);
    await assert.rejects(load.stop(), /the load ended by itself/);
  });

  it('fails when it is cut off by a signal with a call left unanswered', async () => {
    const load = await started();
    answers = () => 'never';
    child?.kill('SIGTERM');
    await exited();
    await assert.rejects(load.assertNoneLost(), /the load ended by itself \(signal\)/);
  });

  it('fails when its last report knows the end of fewer calls than were sent', async () => {
    const last = { sent: 3, statuses: { 200: 2 }, errors: {}, longestMs: 1, began: 0, at: 1, ended: 'input' };
    const load = watchLoad(
      {
        output: () => `${JSON.stringify({ load: last })}\n`,
        exited: Promise.resolve(),
        stop: () => undefined,
        end: () => undefined,
      },
      { url: 'http://told/', workers: 2 },
    );
    await assert.rejects(load.stop(), /1 calls are left without an answer/);
  });

  it('fails when a call was lost, unless a policy may refuse it', async () => {
    answers = (call) => (call % 2 === 0 ? 'refused' : 'well');
    const strict = await started();
    await assert.rejects(strict.assertNoneLost(), /calls were lost/);
    await assert.rejects(strict.stop(), /calls were lost/);
    const refused = await started({ mayBeRefused: true });
    const { statuses } = await refused.stop();
    assert.ok((statuses[503] ?? 0) > 0);
  });
});
