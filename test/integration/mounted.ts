/** Plays the kubelet: brings a Secret or a ConfigMap to a directory as it does, in one rename, and late. */
import { mkdir, readlink, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Client } from '#kubernetes/client.ts';
import type { Kind, KubeObject } from '#kubernetes/types.ts';
import { eventually } from '#test/support/eventually.ts';

export interface Mounted {
  readonly directory: string;
  stop(): Promise<void>;
}

export interface MountOptions {
  readonly kind: Kind;
  readonly name: string;
  readonly namespace: string;
  readonly directory: string;
  /** Milliseconds from when a change is seen until the files follow; the first content comes at once. */
  readonly lateMs: number;
  /** Changes the text of a file on its way. */
  readonly rewrite?: (text: string) => string;
}

/** Resolves when the files are there. */
export async function mount(admin: Client, options: MountOptions): Promise<Mounted> {
  const { kind, name, namespace, directory, lateMs, rewrite = (text) => text } = options;
  await mkdir(directory, { recursive: true });
  let version: string | undefined;
  let stopped = false;

  async function look(late: number): Promise<boolean> {
    const object = await admin.get<KubeObject>(kind, name, namespace);
    if (object === undefined || object.metadata.resourceVersion === version) return false;
    await delay(late);
    version = object.metadata.resourceVersion;
    const text = (value: string): string => (kind.kind === 'Secret' ? Buffer.from(value, 'base64').toString() : value);
    await swap(
      directory,
      `..${version}`,
      Object.entries(object.data ?? {}).map(([file, value]) => [file, rewrite(text(value))]),
    );
    return true;
  }

  await eventually(`${kind.kind} ${name} is there`, () => look(0), { everyMs: 50 });
  const following = (async () => {
    while (!stopped) {
      await look(lateMs);
      await delay(50);
    }
  })();
  following.catch(() => undefined); // told by stop
  return {
    directory,
    async stop() {
      stopped = true;
      await following;
    },
  };
}

/** `tls.crt` → `..data/tls.crt`, `..data` → a directory: whoever reads sees all files of one age. */
async function swap(directory: string, fresh: string, files: readonly (readonly [string, string])[]): Promise<void> {
  const before = await readlink(join(directory, '..data')).catch(() => undefined);
  await mkdir(join(directory, fresh));
  for (const [file, text] of files) await writeFile(join(directory, fresh, file), text, { mode: 0o600 });
  await symlink(fresh, join(directory, '..next'));
  await rename(join(directory, '..next'), join(directory, '..data'));
  for (const [file] of files) {
    await symlink(join('..data', file), join(directory, file)).catch((error: unknown) => {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    });
  }
  if (before !== undefined) await rm(join(directory, before), { recursive: true });
}
