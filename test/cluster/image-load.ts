import { link, mkdir, mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { blobPath, blobsOf, imageStore, type StoredImage } from './image-store.ts';
import type { Layout } from './layout.ts';
import { must } from './process.ts';

/** containerd's own namespace for what Kubernetes runs. */
const NAMESPACE = 'k8s.io';

/**
 * Gives a cluster's containerd the images that it does not have in just this version, and returns their names.
 * Only blobs that it lacks are handed over, so an image of which one layer changed costs that layer; it is unpacked when
 * its first container starts, so an image that nobody runs costs nothing more.
 */
export async function loadStored(layout: Layout, images: readonly StoredImage[]): Promise<string[]> {
  const present = await presentImages(layout);
  const missing = images.filter((image) => present.get(image.name) !== image.digest);
  if (missing.length === 0) return [];
  const known = new Set((await ctr(layout, ['content', 'ls', '--quiet'])).split('\n'));
  // Beside the store, so that blobs can be linked instead of copied.
  const work = await mkdtemp(join(dirname(imageStore()), 'load-'));
  try {
    const manifests: object[] = [];
    const blobs = new Set<string>();
    for (const { name, digest } of missing) {
      for (const blob of [digest, ...(await blobsOf(digest))]) blobs.add(blob);
      const { size } = await stat(blobPath(digest));
      manifests.push({
        mediaType: 'application/vnd.oci.image.manifest.v1+json',
        digest,
        size,
        annotations: { 'io.containerd.image.name': name },
      });
    }
    const folder = join(work, 'blobs', 'sha256');
    await mkdir(folder, { recursive: true });
    for (const blob of blobs)
      if (!known.has(blob)) await link(blobPath(blob), join(folder, blob.replace('sha256:', '')));
    await writeFile(join(work, 'oci-layout'), JSON.stringify({ imageLayoutVersion: '1.0.0' }));
    await writeFile(join(work, 'index.json'), JSON.stringify({ schemaVersion: 2, manifests }));
    await must('sh', [
      '-c',
      'tar -C "$1" -cf - . | ctr --address "$2" --namespace "$3" images import --no-unpack -',
      'sh',
      work,
      layout.containerdSocket,
      NAMESPACE,
    ]);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
  return missing.map((image) => image.name);
}

/** Imports an image archive of anybody's, as `docker save` and `buildah push docker-archive:` write it. */
export async function loadArchive(layout: Layout, archive: string): Promise<string[]> {
  const said = await ctr(layout, ['images', 'import', archive]);
  return [...said.matchAll(/^unpacking (\S+)/gmu)].map(([, name = '']) => name);
}

/** The images of a cluster's containerd: name → digest of the manifest. */
export async function presentImages(layout: Layout): Promise<Map<string, string>> {
  const rows = (await ctr(layout, ['images', 'ls'])).split('\n').slice(1);
  return new Map(
    rows.flatMap((row) => {
      const [name, , digest] = row.split(/\s+/u);
      return name === undefined || digest === undefined || !digest.startsWith('sha256:')
        ? []
        : [[name, digest] as const];
    }),
  );
}

function ctr(layout: Layout, args: readonly string[]): Promise<string> {
  return must('ctr', ['--address', layout.containerdSocket, '--namespace', NAMESPACE, ...args], { timeoutMs: 300_000 });
}
