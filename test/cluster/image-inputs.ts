import { createHash, type Hash } from 'node:crypto';
import { globSync, readFileSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';

/** The sources of a Dockerfile's COPY and ADD lines, as written: paths and patterns relative to the context. */
export function copiedSources(dockerfile: string): string[] {
  const joined = dockerfile.replaceAll(/\\\n/gu, ' ');
  return [...joined.matchAll(/^\s*(?:COPY|ADD)\s+(.+)$/gimu)].flatMap(([, words = '']) => {
    const parts = words.trim().split(/\s+/u);
    if (parts.some((part) => part.startsWith('--from='))) return []; // another stage, whose inputs are counted there
    return parts.filter((part) => !part.startsWith('--')).slice(0, -1);
  });
}

/**
 * A hash over what an image is made from: its Dockerfile, each file that it copies from the context (path, mode, content),
 * and `base`, which names the version of what it stands on.
 */
export function inputsHash(dockerfile: string, context: string, base: string): string {
  const hash = createHash('sha256').update(base).update(dockerfile);
  for (const source of copiedSources(dockerfile)) {
    for (const path of globSync(source, { cwd: context }).toSorted()) addPath(hash, context, path);
  }
  return hash.digest('hex');
}

function addPath(hash: Hash, context: string, path: string): void {
  const full = join(context, path);
  const { mode } = statSync(full);
  hash.update(`\n${path} ${mode}\n`);
  if (!statSync(full).isDirectory()) hash.update(readFileSync(full));
  else for (const entry of readdirSync(full).toSorted()) addPath(hash, context, join(path, entry));
}
