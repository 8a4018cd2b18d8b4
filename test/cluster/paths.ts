import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The checkout. */
export const repositoryRoot = join(dirname(fileURLToPath(import.meta.url)), '..', '..');

/** What can be made again: programs, image archives, build records. */
export function cacheDirectory(): string {
  return join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'open-service-mesh');
}

/** What a cluster is: one folder a name, outside the checkout, so that a cleaned checkout leaves no orphan. */
export function stateDirectory(): string {
  return join(process.env['XDG_STATE_HOME'] ?? join(homedir(), '.local', 'state'), 'open-service-mesh', 'clusters');
}
