/** `npm run bench -- [NAME…] [--json FILE]`: runs the benchmarks that are named (all by default) and prints a table. */
import { spawnSync } from 'node:child_process';
import { existsSync, globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { parseArgs } from 'node:util';
import type { BenchResult } from './result.ts';

const names = globSync('test/bench/*.bench.ts')
  .map((file) => basename(file, '.bench.ts'))
  .sort();

function readArguments() {
  return parseArgs({
    allowPositionals: true,
    options: { json: { type: 'string' }, help: { type: 'boolean', short: 'h', default: false } },
  });
}

function usage(): string {
  return `usage: npm run bench -- [NAME…] [--json FILE]\n\nNAME: ${names.join(', ')} (all by default)\n--json FILE: also write the figures as an array`;
}

function table(results: readonly BenchResult[]): string {
  const number = (value: number | null): string =>
    value === null ? '-' : value >= 100 ? value.toFixed(0) : value.toPrecision(3);
  const rows = results.map((r) => [
    r.name,
    `${number(r.value)} ${r.unit}`,
    number(r.peer),
    r.ratio === null ? '-' : `${r.ratio.toFixed(2)}x`,
    r.target ?? '-',
    r.met === null ? '-' : r.met ? 'met' : 'MISSED',
  ]);
  const all = [['figure', 'value', 'peer', 'ratio', 'target', 'met'], ...rows];
  const widths = all[0]!.map((_, column) => Math.max(...all.map((row) => row[column]!.length)));
  return all.map((row) => row.map((cell, column) => cell.padEnd(widths[column]!)).join('  ')).join('\n');
}

function main(): number {
  let given: ReturnType<typeof readArguments>;
  try {
    given = readArguments();
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : String(error)}\n${usage()}`);
    return 2;
  }
  const { values, positionals } = given;
  if (values.help) {
    console.log(usage());
    return 0;
  }
  const chosen = positionals.length === 0 ? names : positionals;
  const unknown = chosen.filter((name) => !existsSync(`test/bench/${name}.bench.ts`));
  if (unknown.length > 0) {
    console.error(`no benchmark is named ${unknown.join(', ')}\n${usage()}`);
    return 2;
  }
  const figures = chosen.map((name) => ({ name, results: runOne(name) }));
  const results = figures.flatMap((one) => one.results ?? []);
  console.log(table(results));
  if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(results, null, 2)}\n`);
  const broken = figures.filter((one) => one.results === undefined).map((one) => one.name);
  if (broken.length === 0) return 0;
  console.error(`these benchmarks did not end well, see above: ${broken.join(', ')}`);
  return 1;
}

/** In a process of its own: no benchmark measures the heap, the caches or the counters that another has left. */
function runOne(name: string): BenchResult[] | undefined {
  console.error(`[bench] ${name}`);
  const directory = mkdtempSync(join(tmpdir(), 'osm-bench-'));
  const file = join(directory, 'figures.json');
  try {
    const { status } = spawnSync(process.execPath, ['test/bench/one.ts', name, file], { stdio: ['ignore', 2, 2] });
    return status === 0 ? (JSON.parse(readFileSync(file, 'utf8')) as BenchResult[]) : undefined;
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

process.exit(main());
