/** OSM's names of log levels, as pino's. */
import type { KubeObject } from '#kubernetes/types.ts';

const levels: Readonly<Record<string, string>> = {
  trace: 'trace',
  debug: 'debug',
  info: 'info',
  warn: 'warn',
  error: 'error',
  fatal: 'fatal',
  panic: 'fatal',
  disabled: 'silent',
};

/** The level that a MeshConfig asks for, even one that is wrong elsewhere; undefined when it asks for none that exists. */
export function levelOf(meshConfig: KubeObject | undefined): string | undefined {
  const spec = meshConfig?.spec as { observability?: { osmLogLevel?: string } } | undefined;
  return levels[spec?.observability?.osmLogLevel ?? ''];
}
