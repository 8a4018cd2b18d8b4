/**
 * Writes `gen/` from Go's descriptors of the Envoy API: `node xds/proto/generate.ts`, or `--check` to say, in
 * milliseconds and without Go, whether what is committed is what the inputs make and nobody has edited it.
 * Needs Go (1.26 or newer) and the development packages; HOW.md tells the steps.
 */
import { createHash } from 'node:crypto';
import { mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { spawnSync } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const here = import.meta.dirname;
const generated = join(here, 'gen');
const stampFile = join(generated, 'STAMP');

/** Everything that decides what is generated. */
const inputs = [
  'descriptors/main.go',
  'descriptors/go.mod',
  'descriptors/go.sum',
  'generate.ts',
  '../../node_modules/@bufbuild/protoc-gen-es/package.json',
];

/** One line for what went in and one for what came out. */
async function stamp(): Promise<string> {
  const into = await digest(inputs.map((path) => join(here, path)));
  const outputs = (await readdir(generated, { recursive: true }))
    .filter((path) => path.endsWith('.js') || path.endsWith('.d.ts'))
    .toSorted()
    .map((path) => join(generated, path));
  return `inputs ${into}\noutputs ${await digest(outputs)}\n`;
}

async function digest(paths: readonly string[]): Promise<string> {
  const hash = createHash('sha256');
  for (const path of paths) {
    const text = await readFile(path);
    // A package's manifest may be laid out differently by the tool that installed it; its version is what counts.
    hash.update(path.endsWith('package.json') ? String(JSON.parse(text.toString()).version) : text);
  }
  return hash.digest('hex');
}

function must(command: string, args: readonly string[], cwd: string): void {
  const result = spawnSync(command, args, { cwd, stdio: 'inherit' });
  if (result.error !== undefined) throw new Error(`${command}: ${result.error.message}`);
  if (result.status !== 0) throw new Error(`${command} ${args.join(' ')} failed with exit code ${result.status}`);
}

async function generate(): Promise<void> {
  const scratch = await mkdtemp(join(tmpdir(), 'osm-protos-'));
  try {
    const descriptors = join(scratch, 'envoy.binpb');
    must('go', ['run', '.', descriptors], join(here, 'descriptors'));
    const template = {
      version: 'v2',
      plugins: [
        {
          local: 'protoc-gen-es',
          out: generated,
          opt: ['target=js+dts', 'import_extension=js'],
          include_imports: true,
        },
      ],
    };
    await rm(generated, { recursive: true, force: true });
    must('buf', ['generate', descriptors, '--template', JSON.stringify(template)], scratch);
    // The well-known types come with @bufbuild/protobuf; a second copy of them would be other types of the same names.
    await rm(join(generated, 'google', 'protobuf'), { recursive: true, force: true });
    await writeFile(stampFile, await stamp());
  } finally {
    await rm(scratch, { recursive: true });
  }
}

if (process.argv.includes('--check')) {
  const committed = await readFile(stampFile, 'utf8').catch(() => '');
  if (committed !== (await stamp())) {
    process.stderr.write('xds/proto/gen is not what its inputs make: run `node xds/proto/generate.ts` and commit it\n');
    process.exitCode = 1;
  }
} else {
  await generate();
}
