/** The difference between two pods, as the API server wants it: RFC 6902. */
import { createPatch } from 'rfc6902';
import type { Pod } from './pod.ts';

export type Operation = ReturnType<typeof createPatch>[number];

export function patchOf(before: Pod, after: Pod): Operation[] {
  return createPatch(before, after);
}
