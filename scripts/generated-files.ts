/** Compares what generators make with what stands in a folder, and mends the folder if it is asked to. */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

export interface GeneratedFile {
  /** Relative to the repository. */
  readonly path: string;
  readonly text: string;
}

export interface Generator {
  /** What it makes, for messages. */
  readonly what: string;
  readonly files: () => readonly GeneratedFile[] | Promise<readonly GeneratedFile[]>;
  /** Files that only this generator may own, as folder and ending: what it no longer makes is removed. */
  readonly owns: readonly { readonly folder: string; readonly ending: string }[];
}

export interface Difference {
  readonly path: string;
  readonly problem: 'missing' | 'differs' | 'not generated any more';
}

export interface Outcome {
  readonly differences: readonly Difference[];
  /** Generators that threw, as `<what>: <why>`. The others still have their say. */
  readonly failures: readonly string[];
}

/** What stands between the folder `root` and what the generators make; with `write` it is mended, too. */
export async function compareGenerated(
  root: string,
  generators: readonly Generator[],
  write: boolean,
): Promise<Outcome> {
  const differences: Difference[] = [];
  const failures: string[] = [];
  for (const generator of generators) {
    try {
      const made = await generator.files();
      differences.push(...different(root, made), ...stale(root, generator, made));
      if (write) mend(root, made, differences);
    } catch (error) {
      failures.push(`${generator.what}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  return { differences, failures };
}

function different(root: string, made: readonly GeneratedFile[]): Difference[] {
  return made.flatMap(({ path, text }): Difference[] => {
    const present = orMissing(() => readFileSync(join(root, path), 'utf8'));
    if (present === text) return [];
    return [{ path, problem: present === undefined ? 'missing' : 'differs' }];
  });
}

function stale(root: string, generator: Generator, made: readonly GeneratedFile[]): Difference[] {
  const wanted = new Set(made.map((file) => file.path));
  return generator.owns.flatMap(({ folder, ending }) =>
    (orMissing(() => readdirSync(join(root, folder))) ?? [])
      .filter((name) => name.endsWith(ending) && !wanted.has(`${folder}/${name}`))
      .map((name): Difference => ({ path: `${folder}/${name}`, problem: 'not generated any more' })),
  );
}

function mend(root: string, made: readonly GeneratedFile[], differences: readonly Difference[]): void {
  for (const { path, problem } of differences) {
    const target = join(root, path);
    const file = made.find((candidate) => candidate.path === path);
    if (problem === 'not generated any more') rmSync(target, { force: true });
    else if (file !== undefined) {
      mkdirSync(dirname(target), { recursive: true });
      writeFileSync(target, file.text);
    }
  }
}

function orMissing<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}
