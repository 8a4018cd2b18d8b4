/** What one condition says, before it is known which one. */
export interface Verdict {
  readonly status: 'True' | 'False' | 'Unknown';
  /** CamelCase, stable. */
  readonly reason: string;
  /** One sentence or more; no counter or time that changes by itself, since each write wakes every watcher. */
  readonly message: string;
}

export function yes(reason: string, message: string): Verdict {
  return { status: 'True', reason, message };
}

export function no(reason: string, message: string): Verdict {
  return { status: 'False', reason, message };
}

/** To the second, as in Kubernetes' own times. */
export function time(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z');
}
