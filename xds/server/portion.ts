import type { Resource } from '#xds/resource.ts';

/**
 * Bytes of resources in one response. The rest follows when Envoy has acknowledged them: a message of any size would keep every
 * other sidecar waiting while it is made and written, and beyond what gRPC carries it would end the stream, again and again.
 */
export const MOST_BYTES = 8 * 1024 * 1024;

/** As many of the first resources as fit one response, but one at least: a resource is whole. */
export function portion(resources: readonly Resource[]): readonly Resource[] {
  let bytes = 0;
  const end = resources.findIndex(({ bytes: { length } }, index) => (bytes += length) > MOST_BYTES && index > 0);
  return end < 0 ? resources : resources.slice(0, end);
}
