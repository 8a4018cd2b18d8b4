// Bundles the programs into dist/, which the images are made from: one file a program, and the Node binary that runs it.
import { createHash } from 'node:crypto';
import { copyFileSync, existsSync, globSync, linkSync, mkdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build as bundle } from 'esbuild';
import { flagsOrExit } from './flags.ts';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const dist = join(root, 'dist');

/** Programs of the image `openservicemesh/osm`: bundle → source. */
const PROGRAMS: Readonly<Record<string, string>> = {
  operator: 'operator/main.ts',
  injector: 'webhook/main.ts',
  controller: 'controller/main.ts',
};

/** Programs of the demo's image and of the end-to-end tests': folder of dist/ → sources. */
const FURTHER_PROGRAMS: Readonly<Record<string, string>> = {
  demo: 'demo/apps/*.ts',
  e2e: 'test/e2e/programs/*.ts',
};

/**
 * Writes dist/: a bundle for each program whose source is there, those of the demo and the tests, and `node`.
 * Rejects with esbuild's message when a source does not compile. `say` gets one line a file.
 */
export async function build(say: (line: string) => void): Promise<void> {
  const entries = new Map<string, string>();
  for (const [name, source] of Object.entries(PROGRAMS)) {
    if (existsSync(join(root, source))) entries.set(name, source);
    else {
      say(`${source} is not there: dist/${name}.mjs is left out`);
      rmSync(join(dist, `${name}.mjs`), { force: true });
    }
  }
  for (const [folder, sources] of Object.entries(FURTHER_PROGRAMS)) {
    for (const source of globSync(sources, { cwd: root }).toSorted()) {
      if (readFileSync(join(root, source), 'utf8').includes('export ')) continue; // a part of the programs, not one
      entries.set(`${folder}/${basename(source, '.ts')}`, source);
    }
  }
  mkdirSync(dist, { recursive: true });
  await bundle({
    absWorkingDir: root,
    entryPoints: Object.fromEntries(entries),
    outdir: dist,
    outExtension: { '.js': '.mjs' },
    bundle: true,
    platform: 'node',
    target: 'node24',
    format: 'esm',
    sourcemap: 'linked', // beside the bundle: Node reads it only when an error is shown
    sourcesContent: false,
    legalComments: 'none',
    logLevel: 'silent', // a failure is thrown with its message
    // CommonJS packages call require() for Node's own modules, and an ES module has none.
    banner: {
      js: "import { createRequire as osmCreateRequire } from 'node:module'; const require = osmCreateRequire(import.meta.url);",
    },
  });
  stageNode();
  for (const name of entries.keys())
    say(`dist/${name}.mjs  ${Math.round(statSync(join(dist, `${name}.mjs`)).size / 1024)} kB`);
}

/** Puts the Node binary that the lockfile pins beside the bundles, as a hard link where the file system allows it. */
function stageNode(): void {
  const source = join(root, 'node_modules', `node-linux-${process.arch}`, 'bin', 'node');
  const target = join(dist, 'node');
  if (existsSync(target) && sameFile(source, target)) return;
  rmSync(target, { force: true });
  try {
    linkSync(source, target);
  } catch {
    copyFileSync(source, target); // another file system
  }
}

function sameFile(one: string, other: string): boolean {
  const [a, b] = [statSync(one), statSync(other)];
  if (a.ino === b.ino && a.dev === b.dev) return true;
  if (a.size !== b.size) return false;
  const hash = (path: string): string => createHash('sha256').update(readFileSync(path)).digest('hex');
  return hash(one) === hash(other);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  flagsOrExit({ command: 'npm run build', does: 'Bundles the programs into dist/, which the images are made from.' });
  try {
    await build((line) => console.log(line));
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
  }
}
