import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { chmod, copyFile, link, mkdir, mkdtemp, readFile, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { build } from '../../scripts/build.ts';
import { BASE_IMAGE, type ImageRecipe, imageRecipes } from './images.ts';
import { inputsHash } from './image-inputs.ts';
import { withLock } from './lock.ts';
import { cacheDirectory, repositoryRoot } from './paths.ts';
import { must, run } from './process.ts';

/** Raise it when the way an image is made here changes, so that none made the old way is used again. */
const RECIPE_VERSION = '1';

/** An image in the store, an OCI layout in the cache: its blobs lie uncompressed under `blobs/sha256`. */
export interface StoredImage {
  readonly name: string;
  /** Digest of its manifest, `sha256:…`. */
  readonly digest: string;
}

/** Folder of the OCI layout. */
export function imageStore(): string {
  return join(cacheDirectory(), 'images', 'store');
}

/**
 * Builds those images whose inputs have changed since they were built last, and returns all.
 * With `essentialOnly`, just what the cluster itself needs. One process at a time; the store outlives each cluster.
 */
export async function buildImages(
  say: (line: string) => void,
  options: { readonly essentialOnly?: boolean } = {},
): Promise<StoredImage[]> {
  const recipes = imageRecipes().filter((recipe) => recipe.essential || options.essentialOnly !== true);
  const lock = join(cacheDirectory(), 'images', 'lock');
  if (options.essentialOnly === true) {
    // They hardly ever change: a cluster that starts need not wait for somebody else's long build.
    await mkdir(dirname(lock), { recursive: true });
    const found = await Promise.all(recipes.map((recipe) => ensureImage(recipe, say, { build: false })));
    const current = found.filter((image) => image !== undefined);
    if (current.length === recipes.length) return current;
  }
  return withLock(
    lock,
    () => say('waiting for another process that builds images'),
    async () => {
      if (recipes.some((recipe) => recipe.context.kind === 'repository')) await build(() => undefined);
      const images: StoredImage[] = [];
      for (const recipe of recipes) {
        const image = await ensureImage(recipe, say);
        if (image !== undefined) images.push(image);
      }
      await removeUnreferencedBlobs();
      return images;
    },
  );
}

/** One image, built when its inputs have changed since it was built last. */
export async function buildImage(recipe: ImageRecipe, say: (line: string) => void): Promise<StoredImage> {
  const images = join(cacheDirectory(), 'images');
  await mkdir(images, { recursive: true });
  const current = await ensureImage(recipe, say, { build: false });
  if (current !== undefined) return current;
  const waiting = (): void => say('waiting for another process that builds images');
  const built = await withLock(join(images, 'lock'), waiting, () => ensureImage(recipe, say));
  if (built === undefined) throw new Error(`${recipe.name} was not built`);
  return built;
}

/** With `build: false`, undefined instead of building what is not up to date. */
async function ensureImage(
  recipe: ImageRecipe,
  say: (line: string) => void,
  options: { readonly build: boolean } = { build: true },
): Promise<StoredImage | undefined> {
  const work = await mkdtemp(join(cacheDirectory(), 'images', 'work-'));
  try {
    const context = await contextOf(recipe, work);
    const dockerfile = await readFile(join(repositoryRoot, recipe.dockerfile), 'utf8');
    const hash = inputsHash(dockerfile, context, `${RECIPE_VERSION} ${baseRecipe()}`);
    const record = join(cacheDirectory(), 'images', `${fileName(recipe.name)}.json`);
    const known = await readRecord(record);
    if (known?.inputs === hash && existsSync(blobPath(known.digest)))
      return { name: recipe.name, digest: known.digest };
    if (!options.build) return undefined;

    if (dockerfile.includes('FROM debian:')) await ensureBase(say);
    say(`building ${recipe.name}`);
    const started = Date.now();
    await buildah([
      ...['build', '--layers', '--pull-never', '--format', 'oci', '--timestamp', '0'],
      ...['--tag', recipe.name, '--file', join(repositoryRoot, recipe.dockerfile), context],
    ]);
    const digestFile = join(work, 'digest');
    await mkdir(imageStore(), { recursive: true });
    await buildah([
      ...['push', '--disable-compression', '--digestfile', digestFile],
      ...[recipe.name, `oci:${imageStore()}:${recipe.name}`],
    ]);
    const digest = (await readFile(digestFile, 'utf8')).trim();
    await writeFile(record, JSON.stringify({ inputs: hash, digest }));
    say(`built ${recipe.name} in ${((Date.now() - started) / 1000).toFixed(1)} s`);
    return { name: recipe.name, digest };
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** The folder that the Dockerfile's COPY lines see. */
async function contextOf(recipe: ImageRecipe, work: string): Promise<string> {
  if (recipe.context.kind === 'repository') return repositoryRoot;
  const program = await recipe.context.make();
  const staged = join(work, basename(program));
  await link(program, staged).catch(() => copyFile(program, staged));
  await chmod(staged, 0o755);
  return work;
}

/** Makes the Debian root that stands for BASE_IMAGE, from Debian's own archive: there is no registry to pull it from. */
async function ensureBase(say: (line: string) => void): Promise<void> {
  const label = createHash('sha256').update(baseRecipe()).digest('hex').slice(0, 12);
  const existing = await run('buildah', [
    ...storage(),
    ...['inspect', '--type', 'image', '--format', '{{index .OCIv1.Config.Labels "recipe"}}', BASE_IMAGE],
  ]);
  if (existing.code === 0 && existing.stdout.trim() === label) return;
  say(`making ${BASE_IMAGE} from Debian's archive (about a minute, once)`);
  const work = await mkdtemp(join(cacheDirectory(), 'images', 'base-'));
  try {
    const tar = join(work, 'root.tar');
    await must('mmdebstrap', [...baseArguments(), 'bookworm', tar], { timeoutMs: 900_000 });
    const container = (await buildah(['from', 'scratch'])).trim();
    await buildah(['add', container, tar, '/']);
    await buildah(['config', '--cmd', 'bash', '--label', `recipe=${label}`, container]);
    await buildah(['commit', '--rm', container, BASE_IMAGE]);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

function baseArguments(): string[] {
  // The published slim image leaves the same folders out.
  const excluded = ['/usr/share/doc/*', '/usr/share/man/*', '/usr/share/locale/*', '/usr/share/info/*'];
  return ['--quiet', '--variant=minbase', ...excluded.map((path) => `--dpkgopt=path-exclude=${path}`)];
}

function baseRecipe(): string {
  return ['mmdebstrap', ...baseArguments(), 'bookworm'].join(' ');
}

/** Runs buildah over a storage of our own, so that a user's images are neither used nor touched. */
function buildah(args: readonly string[]): Promise<string> {
  return must('buildah', [...storage(), ...args], {
    cwd: repositoryRoot,
    env: { BUILDAH_ISOLATION: 'chroot' },
    timeoutMs: 900_000,
  });
}

function storage(): string[] {
  const at = join(cacheDirectory(), 'images', 'buildah');
  return ['--storage-driver', 'overlay', '--root', join(at, 'root'), '--runroot', join(at, 'run')];
}

/** Removes the blobs of images that were replaced: each rebuild leaves some. */
async function removeUnreferencedBlobs(): Promise<void> {
  const index = JSON.parse(await readFile(join(imageStore(), 'index.json'), 'utf8')) as {
    manifests: { digest: string; annotations?: Record<string, string> }[];
  };
  const records = (await readdir(join(cacheDirectory(), 'images'))).filter((file) => file.endsWith('.json'));
  const current = new Set<string>();
  for (const file of records) {
    const record = await readRecord(join(cacheDirectory(), 'images', file));
    if (record !== undefined) current.add(record.digest);
  }
  const kept = index.manifests.filter((manifest) => current.has(manifest.digest));
  const needed = new Set<string>();
  for (const digest of current) {
    if (!existsSync(blobPath(digest))) continue;
    for (const blob of [digest, ...(await blobsOf(digest))]) needed.add(blob.replace('sha256:', ''));
  }
  if (kept.length < index.manifests.length) {
    const next = join(imageStore(), 'index.json.next');
    await writeFile(next, JSON.stringify({ ...index, manifests: kept }));
    await rename(next, join(imageStore(), 'index.json'));
  }
  const blobs = join(imageStore(), 'blobs', 'sha256');
  for (const blob of await readdir(blobs)) if (!needed.has(blob)) await rm(join(blobs, blob));
}

/** Digests of the configuration and the layers of the image whose manifest has this digest. */
export async function blobsOf(digest: string): Promise<string[]> {
  const manifest = JSON.parse(await readFile(blobPath(digest), 'utf8')) as {
    config: { digest: string };
    layers: { digest: string }[];
  };
  return [manifest.config.digest, ...manifest.layers.map((layer) => layer.digest)];
}

/** Path of a blob of the store. */
export function blobPath(digest: string): string {
  return join(imageStore(), 'blobs', ...digest.split(':'));
}

async function readRecord(path: string): Promise<{ inputs: string; digest: string } | undefined> {
  if (!existsSync(path)) return undefined;
  return JSON.parse(await readFile(path, 'utf8')) as { inputs: string; digest: string };
}

function fileName(image: string): string {
  return image.replaceAll(/[^a-z0-9.-]/gu, '_');
}
