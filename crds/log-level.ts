/** The MeshConfig's names of log levels (`spec.observability.osmLogLevel`), as pino's. */

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

/** Undefined for a name that is none: whoever asks keeps the level that its environment gave. */
export function loggerLevel(osmLogLevel: string): string | undefined {
  return Object.hasOwn(levels, osmLogLevel) ? levels[osmLogLevel] : undefined;
}
