/** The operator's log level follows the MeshConfig at once, also one that is wrong elsewhere. */
import { loggerLevel } from '#crds/log-level.ts';
import type { KubeObject } from '#kubernetes/types.ts';

/** As pino names it; undefined when the MeshConfig asks for none that exists. */
export function levelOf(meshConfig: KubeObject | undefined): string | undefined {
  const spec = meshConfig?.spec as { observability?: { osmLogLevel?: string } } | undefined;
  return loggerLevel(spec?.observability?.osmLogLevel ?? '');
}
