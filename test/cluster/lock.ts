import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';

/**
 * Whoever waits has the file open; its owner may remove it meanwhile, and then another one of that name may be locked by
 * somebody else. So what was locked counts only while it still is the file of that name.
 */
const TAKE = `
until exec 9>>"$0" && flock --exclusive 9 || exit 1; [ /proc/self/fd/9 -ef "$0" ]; do :; done
echo held
exec cat >/dev/null`;

/**
 * Runs `work` while no other process on this machine holds the lock `path`. The kernel holds it (flock(1)), so a holder
 * that is killed leaves no stale lock: its end of the pipe closes, `cat` ends, and the lock is free. Who holds it, and nobody
 * else, may remove the file.
 * `waiting` is called once when somebody else has it.
 */
export async function withLock<T>(path: string, waiting: () => void, work: () => Promise<T>): Promise<T> {
  mkdirSync(dirname(path), { recursive: true });
  const holder = spawn('sh', ['-c', TAKE, path], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const held = once(holder.stdout, 'data');
  const failed = once(holder, 'exit').then(([code]) => {
    throw new Error(`the lock ${path} could not be taken: sh exited with code ${code}`);
  });
  // After the lock was held, the exit of its holder is the normal end and nobody's error.
  failed.catch(() => undefined);
  const timer = setTimeout(waiting, 1000);
  try {
    await Promise.race([held, failed]);
  } finally {
    clearTimeout(timer);
  }
  try {
    return await work();
  } finally {
    holder.stdin.end();
    await failed.catch(() => undefined);
  }
}
