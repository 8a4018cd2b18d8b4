import { spawn } from 'node:child_process';
import {
  appendFileSync,
  closeSync,
  existsSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { programCgroup, runsAs } from './cgroups.ts';
import { COMPONENTS, type Component } from './components.ts';
import type { Layout } from './layout.ts';
import { inNetwork } from './network.ts';
import { lastLines } from './process.ts';

const GRACE_MS = 10_000;
const LOG_LIMIT_BYTES = 64 * 1024 * 1024;

/** Whether a component runs; `pid` is its process id when it does. */
export type ComponentState =
  | { readonly running: true; readonly pid: number }
  | { readonly running: false; readonly reason: 'never-started' | 'died' | 'wrong-network' };

/**
 * Starts a component in the cluster's network namespace and in a cgroup of its own, detached from this process.
 * Returns its process id: nsenter replaces itself, so the id is the component's.
 */
export function start(component: Component, layout: Layout, command: readonly string[]): number {
  const log = logOf(component, layout);
  // An old log is cut rather than kept for ever: what is looked for is the end.
  if (existsSync(log) && statSync(log).size > LOG_LIMIT_BYTES) rmSync(log);
  appendFileSync(log, `--- ${component} started\n`);
  const output = openSync(log, 'a');
  const child = spawn('nsenter', [`--net=${layout.netns}`, ...command], {
    cwd: layout.state,
    detached: true,
    stdio: ['ignore', output, output],
    env: { ...process.env, PATH: `${process.env['PATH']}:/usr/sbin:/sbin` },
  });
  closeSync(output);
  child.unref();
  child.on('error', () => undefined); // told apart below, by its missing process id
  if (child.pid === undefined) throw new Error(`${component} could not be started: nsenter is not on PATH`);
  enterCgroup(child.pid, programCgroup(layout, component));
  writeFileSync(pidFile(component, layout), String(child.pid));
  return child.pid;
}

/** Looks whether a component runs, as itself and in this cluster's network. */
export function stateOf(component: Component, layout: Layout): ComponentState {
  const pid = existsSync(pidFile(component, layout)) ? Number(readFileSync(pidFile(component, layout), 'utf8')) : 0;
  if (pid === 0) return { running: false, reason: 'never-started' };
  if (!isAlive(pid)) return { running: false, reason: 'died' };
  if (!runsAs(pid, layout, component)) return { running: false, reason: 'died' };
  if (!inNetwork(pid, layout)) return { running: false, reason: 'wrong-network' };
  return { running: true, pid };
}

/** Ends a component: asks, waits, kills. Returns when its process is gone. Does nothing when it does not run. */
export async function stop(component: Component, layout: Layout): Promise<void> {
  const state = stateOf(component, layout);
  if (state.running) await endProcess(state.pid);
  rmSync(pidFile(component, layout), { force: true });
}

/** Ends a process that need not be a child of this one: SIGTERM, and SIGKILL after `graceMs`. */
export async function endProcess(pid: number, graceMs: number = GRACE_MS): Promise<void> {
  signal(pid, 'SIGTERM');
  const deadline = Date.now() + graceMs;
  let killed = false;
  while (isAlive(pid)) {
    if (!killed && Date.now() > deadline) {
      signal(pid, 'SIGKILL');
      killed = true;
    }
    if (Date.now() > deadline + 10_000) throw new Error(`process ${pid} does not end, not even by SIGKILL`);
    await delay(20);
  }
}

/** Sends a signal to a process that may be gone already. */
export function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
  }
}

/** Whether a process is there and no zombie. */
export function isAlive(pid: number): boolean {
  try {
    return !/^State:\s+[ZX]/mu.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

export function logOf(component: Component, layout: Layout): string {
  return join(layout.logs, `${component}.log`);
}

/** The end of a component's log, for an error message. */
export function logTail(component: Component, layout: Layout, lines = 15): string {
  const log = logOf(component, layout);
  return existsSync(log) ? lastLines(readFileSync(log, 'utf8'), lines) : '(no log)';
}

/** Throws, with its log's last lines, when a component that was started does not run any more. */
export function failIfOneDied(layout: Layout): void {
  for (const component of COMPONENTS) {
    const state = stateOf(component, layout);
    if (!state.running && state.reason === 'died') {
      throw new Error(`${component} has ended; the end of ${logOf(component, layout)}:\n${logTail(component, layout)}`);
    }
  }
}

/** Moves a process that was just started, and so whatever it starts, into a cgroup. */
function enterCgroup(pid: number, cgroup: string): void {
  try {
    writeFileSync(join(cgroup, 'cgroup.procs'), String(pid));
  } catch (error) {
    // Gone already: that it died is found, and told with its log, by whoever waits for it.
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
  }
}

function pidFile(component: Component, layout: Layout): string {
  return join(layout.run, `${component}.pid`);
}
