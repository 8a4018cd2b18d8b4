/** The controller as a process of its own, and many simulated sidecars in processes of theirs. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { controllerAllocator, controllerNodeFlags } from '#cdk8s/control-plane.ts';
import { namespace } from '#test/integration/operator-support.ts';
import type { SidecarFiles } from '#test/integration/xds-support.ts';
import { eventually } from '#test/support/eventually.ts';
import type { SidecarOptions } from './push-sidecar.ts';
import type { Expectation, FromWorker, ToWorker } from './push-worker.ts';

const WORKERS = 2;

export interface ControllerProcess {
  readonly process: ChildProcess;
  readonly xdsPort: number;
  /** User and system time so far. */
  cpuMs(): Promise<number>;
  /** Kilobytes after a collection: of the process, and of what JavaScript and TLS still use of it. */
  memory(): Promise<{ readonly rss: number; readonly used: number }>;
}

export async function startController(kubeconfig: string, files: SidecarFiles): Promise<ControllerProcess> {
  const child = fork(join(import.meta.dirname, 'push-controller.ts'), [], {
    // As its Deployment starts it.
    execArgv: [...controllerNodeFlags, '--expose-gc'],
    env: {
      ...process.env,
      ...controllerAllocator,
      KUBECONFIG: kubeconfig,
      OSM_NAMESPACE: namespace,
      OSM_TLS_DIR: files.tlsDirectory,
    },
  });
  const [ports] = (await once(child, 'message')) as [{ xdsPort: number; healthPort: number }];
  await eventually(
    'a ready controller',
    async () => (await fetch(`http://127.0.0.1:${ports.healthPort}/health/ready`)).status === 200,
    { deadlineMs: 30_000 },
  );
  return {
    process: child,
    xdsPort: ports.xdsPort,
    async cpuMs() {
      const fields = (await readFile(`/proc/${child.pid}/stat`, 'utf8')).replace(/^.*\) /, '').split(' ');
      return (Number(fields[11]) + Number(fields[12])) * 10; // in ticks of 10 ms
    },
    async memory() {
      child.send('gc');
      const [{ usedKb }] = (await once(child, 'message')) as [{ usedKb: number }];
      const status = await readFile(`/proc/${child.pid}/status`, 'utf8');
      return { rss: Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]), used: usedKb };
    },
  };
}

interface Done {
  /** From before the change was written until the last sidecar's acknowledgement. */
  readonly ms: number;
  readonly bytes: number;
  readonly responses: number;
  /** Connections that were tried again. */
  readonly retries: number;
}

export interface Fleet {
  readonly workers: readonly ChildProcess[];
  open(sidecars: readonly SidecarOptions[]): void;
  /** Makes the change when every worker waits for it. Rejects when a stream ends meanwhile, or after the limit. */
  measure(what: Expectation, change: () => Promise<void>): Promise<Done>;
}

/** `limitMs`: how long a measurement may take. */
export function startFleet(limitMs: number): Fleet {
  const workers = Array.from({ length: WORKERS }, () => fork(join(import.meta.dirname, 'push-worker.ts')));
  const send = (worker: ChildProcess, message: ToWorker): boolean => worker.send(message);
  return {
    workers,
    open(sidecars) {
      for (const [index, worker] of workers.entries()) {
        send(worker, { do: 'open', sidecars: sidecars.filter((_, at) => at % WORKERS === index) });
      }
    },
    async measure(what, change) {
      const ready = workers.map((worker) => heard(worker, 'ready', limitMs));
      for (const worker of workers) send(worker, { do: 'expect', what });
      await Promise.all(ready);
      const done = Promise.all(workers.map((worker) => heard(worker, 'done', limitMs)));
      const started = performance.timeOrigin + performance.now();
      const [answers] = await Promise.all([done, change()]);
      return {
        ms: Math.max(...answers.map(({ at }) => at)) - started,
        bytes: answers.reduce((sum, answer) => sum + answer.bytes, 0),
        retries: answers.reduce((sum, answer) => sum + answer.retries, 0),
        responses: answers.reduce((sum, answer) => sum + answer.responses, 0),
      };
    },
  };
}

/** The next message of that kind. */
function heard<K extends FromWorker['say']>(
  worker: ChildProcess,
  kind: K,
  limitMs: number,
): Promise<Extract<FromWorker, { say: K }>> {
  return new Promise((resolve, reject) => {
    const finish = (act: () => void): void => {
      clearTimeout(timer);
      worker.off('message', listen);
      act();
    };
    const listen = (message: FromWorker): void => {
      if (message.say === 'ended') finish(() => reject(new Error(`a sidecar's stream ended: ${message.why}`)));
      if (message.say === 'missing') finish(() => reject(new Error(`not within ${limitMs} ms: ${message.why}`)));
      if (message.say === kind) finish(() => resolve(message as Extract<FromWorker, { say: K }>));
    };
    const timer = setTimeout(() => worker.send({ do: 'explain' } satisfies ToWorker), limitMs);
    worker.on('message', listen);
  });
}

export async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill('SIGKILL');
  await gone;
}
