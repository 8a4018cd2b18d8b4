import { spawn } from 'node:child_process';

/** What a finished command left behind; `code` is 128 + 15 when a signal ended it. */
export interface RunResult {
  readonly stdout: string;
  readonly stderr: string;
  readonly code: number;
}

export interface RunOptions {
  readonly cwd?: string;
  /** Added to this process's environment. */
  readonly env?: Readonly<Record<string, string>>;
  /** Written to standard input, which is closed afterwards. */
  readonly input?: string;
  /** Milliseconds after which the command is killed and the promise rejects. */
  readonly timeoutMs?: number;
  /** Called with each piece of standard error as it comes, for progress. */
  readonly onStderr?: (text: string) => void;
}

/** A command that exited non-zero where it must not: the sentence carries the end of its output. */
export class CommandError extends Error {
  readonly code: number;

  constructor(command: string, args: readonly string[], result: RunResult) {
    const said = lastLines(result.stderr.trim() === '' ? result.stdout : result.stderr, 15);
    super(`${shown(command, args)} exited with code ${result.code}:\n${said}`);
    this.name = 'CommandError';
    this.code = result.code;
  }
}

/** The last `count` lines of a text, without a trailing newline. */
export function lastLines(text: string, count: number): string {
  return text.trimEnd().split('\n').slice(-count).join('\n');
}

/**
 * Runs a command to its end and returns what it wrote, whatever its exit code.
 * Rejects when the command cannot be started or outlives `timeoutMs`.
 */
export function run(command: string, args: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd: options.cwd,
      env: { ...process.env, ...options.env },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    let stdout = '';
    let stderr = '';
    let timedOut = false;
    const timer =
      options.timeoutMs === undefined
        ? undefined
        : setTimeout(() => {
            timedOut = true;
            child.kill('SIGKILL');
          }, options.timeoutMs);
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
      options.onStderr?.(text);
    });
    child.on('error', (error) => {
      clearTimeout(timer);
      reject(new Error(`${command} could not be started: ${error.message}`, { cause: error }));
    });
    child.on('close', (code) => {
      clearTimeout(timer);
      if (timedOut) {
        const said = lastLines(stderr, 15);
        reject(new Error(`${shown(command, args)} took longer than ${options.timeoutMs} ms and was killed:\n${said}`));
      } else resolve({ stdout, stderr, code: code ?? 143 });
    });
    // A command that exits without reading its input breaks the pipe; its exit code tells what happened.
    child.stdin.on('error', () => undefined);
    child.stdin.end(options.input ?? '');
  });
}

/** Like `run`, but rejects with a CommandError unless the command exits with 0. Returns standard output. */
export async function must(command: string, args: readonly string[], options: RunOptions = {}): Promise<string> {
  const result = await run(command, args, options);
  if (result.code !== 0) throw new CommandError(command, args, result);
  return result.stdout;
}

/** The command line as a person would type it, cut where a long argument would drown the message. */
function shown(command: string, args: readonly string[]): string {
  const line = [command, ...args].join(' ').replaceAll('\n', ' ');
  return line.length > 200 ? `${line.slice(0, 200)}…` : line;
}
