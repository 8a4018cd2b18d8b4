/** Runs the stages of a test run one after another and adds up what passed, failed and was skipped. */
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface Counts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

export interface Stage {
  readonly name: string;
  run(): Promise<Counts>;
}

export const NOTHING: Counts = { passed: 0, failed: 0, skipped: 0 };

export function add(left: Counts, right: Counts): Counts {
  return {
    passed: left.passed + right.passed,
    failed: left.failed + right.failed,
    skipped: left.skipped + right.skipped,
  };
}

/** `N passed, N failed`, with the skipped ones when there are any: the line that CI reads. */
export function closingLine(counts: Counts): string {
  const skipped = counts.skipped > 0 ? `, ${counts.skipped} skipped` : '';
  return `${counts.passed} passed, ${counts.failed} failed${skipped}`;
}

/** Runs every stage, also after a failure: one run shows all that is broken. */
export async function runStages(stages: readonly Stage[], log: (line: string) => void): Promise<Counts> {
  let total = NOTHING;
  const report: string[] = [];
  for (const stage of stages) {
    log(`\n=== ${stage.name}`);
    const started = Date.now();
    let counts: Counts;
    try {
      counts = await stage.run();
    } catch (error) {
      log(error instanceof Error ? (error.stack ?? error.message) : String(error));
      counts = { passed: 0, failed: 1, skipped: 0 };
    }
    report.push(`${stage.name.padEnd(44)} ${closingLine(counts)} (${((Date.now() - started) / 1000).toFixed(1)} s)`);
    total = add(total, counts);
  }
  log(`\n${report.join('\n')}\n`);
  return total;
}

/** A command that is one test: exit code 0 passes. Its output is shown when it fails. */
export function commandStage(name: string, command: readonly string[]): Stage {
  return {
    name,
    run: async () => {
      const { code, output } = await capture(command);
      if (code === 0) return { passed: 1, failed: 0, skipped: 0 };
      process.stdout.write(output);
      return { passed: 0, failed: 1, skipped: 0 };
    },
  };
}

/** How to start a command: as it is, or inside the network namespace of a cluster. */
export type Enter = (command: readonly string[]) => readonly string[];

/** Mocha over some files. A run that ends without its counts (a crash at load) is one failure. */
export function mochaStage(
  name: string,
  specs: readonly string[],
  options: { readonly timeoutMs: number; readonly env?: Readonly<Record<string, string>>; readonly enter?: Enter },
): Stage {
  return {
    name,
    run: async () => {
      const scratch = mkdtempSync(join(tmpdir(), 'osm-test-'));
      const countsFile = join(scratch, 'counts.json');
      const command = [
        process.execPath,
        'node_modules/mocha/bin/mocha.js',
        '--reporter',
        './test/support/counting-reporter.mjs',
        '--timeout',
        String(options.timeoutMs),
        '--exit',
        ...specs,
      ];
      try {
        const code = await inherit(options.enter?.(command) ?? command, {
          ...options.env,
          OSM_TEST_COUNTS: countsFile,
        });
        if (!existsSync(countsFile)) return { passed: 0, failed: 1, skipped: 0 };
        const counts = JSON.parse(readFileSync(countsFile, 'utf8')) as Counts;
        return code !== 0 && counts.failed === 0 ? { ...counts, failed: 1 } : counts;
      } finally {
        rmSync(scratch, { recursive: true, force: true });
      }
    },
  };
}

function inherit(command: readonly string[], env: Readonly<Record<string, string>>): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn(command[0]!, command.slice(1), { stdio: 'inherit', env: { ...process.env, ...env } });
    child.on('error', reject);
    child.on('exit', (code) => resolve(code ?? 1));
  });
}

function capture(command: readonly string[]): Promise<{ code: number; output: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(command[0]!, command.slice(1), { stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()));
    child.on('error', reject);
    child.on('exit', (code) => resolve({ code: code ?? 1, output }));
  });
}
