/**
 * `npm run generate` writes every generated file of the repository; `npm run check` (`--check`) writes nothing and
 * fails when one differs. To add a generator, add a row to `generators`.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { crdFiles, installFiles, referenceFiles, type GeneratedFile } from './generators.ts';

interface Generator {
  /** What it makes, for messages. */
  readonly what: string;
  /** Paths are relative to the repository. */
  readonly files: () => readonly GeneratedFile[] | Promise<readonly GeneratedFile[]>;
  /** Files that only this generator may own, as folder and ending: what it no longer makes is removed. */
  readonly owns: readonly { readonly folder: string; readonly ending: string }[];
}

const generators: readonly Generator[] = [
  { what: 'CRDs', files: crdFiles, owns: [{ folder: 'crds', ending: '.yaml' }] },
  { what: 'API reference', files: referenceFiles, owns: [{ folder: 'docs/reference', ending: '.md' }] },
  { what: 'install manifest', files: installFiles, owns: [] },
];

type Difference = { readonly path: string; readonly problem: 'missing' | 'differs' | 'not generated any more' };

/** What stands between the working tree and what the generators make (mended, with `write`), and which of them failed. */
async function run(root: string, write: boolean): Promise<{ differences: Difference[]; failures: string[] }> {
  const differences: Difference[] = [];
  const failures: string[] = [];
  for (const generator of generators) {
    let made: readonly GeneratedFile[];
    try {
      made = await generator.files();
    } catch (error) {
      // The other generators still have their say.
      failures.push(`${generator.what}: ${error instanceof Error ? error.message : String(error)}`);
      continue;
    }
    for (const file of made) {
      const path = join(root, file.path);
      const present = read(path);
      if (present === file.text) continue;
      differences.push({ path: file.path, problem: present === undefined ? 'missing' : 'differs' });
      if (!write) continue;
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, file.text);
    }
    for (const stale of staleFiles(root, generator, made)) {
      differences.push({ path: stale, problem: 'not generated any more' });
      if (write) rmSync(join(root, stale));
    }
  }
  return { differences, failures };
}

function staleFiles(root: string, generator: Generator, made: readonly GeneratedFile[]): string[] {
  const wanted = new Set(made.map((file) => file.path));
  return generator.owns.flatMap(({ folder, ending }) =>
    list(join(root, folder))
      .filter((name) => name.endsWith(ending))
      .map((name) => `${folder}/${name}`)
      .filter((path) => !wanted.has(path)),
  );
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

function list(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT';
}

const check = process.argv.includes('--check');
const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const { differences, failures } = await run(root, !check);
for (const failure of failures) {
  console.error(`cannot generate the ${failure}`);
  process.exitCode = 1;
}
for (const { path, problem } of differences)
  console.log(check ? `${path}: ${problem}` : `wrote ${relative('.', join(root, path))}`);
if (check && differences.length > 0) {
  console.error(`${differences.length} file(s) are not what their sources make; mend with: npm run generate`);
  process.exitCode = 1;
}
