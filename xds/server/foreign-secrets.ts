import { SECRET } from '#xds/cache/types.ts';
import type { DeltaRequest } from './messages.ts';

/**
 * The names in a request that are no secret of the sidecar's own. Nothing is served under them: every sidecar's secrets have the
 * same names, and which ones it gets goes by its token, so no name leads to another's. Envoy never asks for one, so whoever
 * does is worth a line in the log.
 */
export function foreignSecrets({ type, subscribe }: DeltaRequest, own: ReadonlySet<string>): readonly string[] {
  return type === SECRET ? subscribe.filter((name) => name !== '*' && !own.has(name)) : [];
}
