/** Asks again and again, without making anything, whether a pod would come into a meshed namespace with its sidecar. */
import { setInterval as every } from 'node:timers/promises';
import { lab } from './lab.ts';
import { oneOffPod } from './manifests.ts';

const EVERY_MS = 1_500;

export interface Admissions {
  readonly asked: number;
  readonly refusals: readonly string[];
  stop(): Promise<void>;
}

export function watchAdmissions(namespace: string): Admissions {
  const refusals: string[] = [];
  const ending = new AbortController();
  const input = JSON.stringify(oneOffPod(namespace, 'asked-for', ['sleep', '1']));
  let asked = 0;

  async function ask(): Promise<void> {
    const sidecars = 'jsonpath={.spec.initContainers[*].name}';
    const { code, stdout, stderr } = await lab.run(['create', '--dry-run=server', '-o', sidecars, '-f', '-'], {
      input,
    });
    asked += 1;
    if (code !== 0 || !stdout.includes('envoy')) refusals.push(`${new Date().toISOString()} ${stderr}${stdout}`);
  }

  async function run(): Promise<void> {
    try {
      for await (const _ of every(EVERY_MS, undefined, { signal: ending.signal })) await ask();
    } catch (error) {
      if (!ending.signal.aborted) throw error;
    }
  }

  const running = run();
  return {
    get asked() {
      return asked;
    },
    refusals,
    async stop() {
      ending.abort();
      await running;
    },
  };
}
