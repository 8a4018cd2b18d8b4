/** Programs that make the data-plane benchmark's load, and what the kernel knows of the proxies' work. */
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { must, run } from '#test/cluster/process.ts';
import type { LoadResult } from './dataplane-load.ts';
import type { SocketAddress } from './dataplane-plain.ts';

export interface Target extends SocketAddress {
  readonly host: string;
  readonly path: string;
}

/**
 * Prefixes of commands. Load and application have one processor, the pair under test another, so that a pair's throughput
 * is its own work and not the load's. With one processor everything shares it.
 */
export const LOAD_CPU = ['taskset', '--cpu-list', '0'] as const;
export const PAIR_CPU = ['taskset', '--cpu-list', availableParallelism() > 1 ? '1' : '0'] as const;

/** Makes sure that wrk is there: installs Debian's package as root, or throws the line to run. */
export async function ensureWrk(): Promise<void> {
  const there = async (): Promise<boolean> => (await run('sh', ['-c', 'command -v wrk taskset'])).code === 0;
  if (await there()) return;
  const line = 'apt-get update && apt-get install -y --no-install-recommends wrk util-linux';
  if (process.getuid?.() === 0) {
    await run('sh', ['-c', line], { env: { DEBIAN_FRONTEND: 'noninteractive' }, timeoutMs: 300_000 });
    if (await there()) return;
  }
  throw new Error(`the benchmark needs wrk and taskset. On Debian 12 this installs them:\n  sudo sh -c '${line}'`);
}

/** Requests a second that `connections` kept-alive connections get done when each asks again at once. */
export async function throughput(target: Target, seconds: number, connections: number): Promise<number> {
  const stdout = await must(LOAD_CPU[0], [
    ...LOAD_CPU.slice(1),
    ...['wrk', '--threads', '1', '--connections', String(connections), '--duration', `${seconds}s`],
    ...['--header', `Host: ${target.host}`, `http://${target.address}:${target.port}${target.path}`],
  ]);
  const rate = /^Requests\/sec:\s+([\d.]+)$/m.exec(stdout)?.[1];
  if (rate === undefined || /Non-2xx|Socket errors/.test(stdout)) throw new Error(`wrk's requests failed:\n${stdout}`);
  return Number(rate);
}

/** Milliseconds that each of `rate` × `seconds` requests took, when they come whether or not the last one is answered. */
export async function latencies(target: Target, rate: number, seconds: number): Promise<number[]> {
  const stdout = await must(LOAD_CPU[0], [
    ...LOAD_CPU.slice(1),
    ...[process.execPath, join(import.meta.dirname, 'dataplane-load.ts')],
    ...[target.address, String(target.port), target.host, target.path, String(rate), String(seconds), '16'],
  ]);
  const result = JSON.parse(stdout) as LoadResult;
  if (result.failures > 0)
    throw new Error(`${result.failures} of ${rate * seconds} requests were not answered with 200`);
  return result.latencies.map((microseconds) => microseconds / 1000);
}

/** Microseconds that a process has had a processor for, all its threads together. */
export function cpuMicroseconds(pid: number): number {
  const [user = 0, system = 0] = processTimes(pid);
  return user + system;
}

/** Microseconds of processor that the whole machine has given to anybody, and to `pids`, this process and its children. */
export function machineMicroseconds(pids: readonly number[]): { readonly all: number; readonly ours: number } {
  const [user = 0, nice = 0, system = 0, _idle, _wait, _irq, _softirq, steal = 0] = readFileSync('/proc/stat', 'utf8')
    .replace(/^cpu +/, '')
    .split('\n', 1)[0]!
    .split(' ')
    .map((ticks) => Number(ticks) * TICK);
  // Interrupts are mostly loopback's packets: nobody's, and the same for both pairs.
  const all = user + nice + system + steal;
  const own = processTimes(process.pid).reduce((sum, it) => sum + it, 0);
  return { all, ours: pids.reduce((sum, pid) => sum + cpuMicroseconds(pid), own) };
}

/** Microseconds of a hundredth of a second, the unit of proc(5). */
const TICK = 10_000;

/** User, system, and those of its ended children. */
function processTimes(pid: number): number[] {
  // Fields 14 to 17 of proc(5); the name before them may hold spaces.
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /s, '')
    .split(' ');
  return fields.slice(11, 15).map((ticks) => Number(ticks) * TICK);
}
