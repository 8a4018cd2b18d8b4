/** What a sidecar has taken from the controller so far, by Envoy's own counters. */
import { lab } from './lab.ts';

/** Accepted responses by what was in them; the two secrets each for itself. */
export type Updates = Readonly<Record<'cds' | 'lds' | 'rds' | 'workload' | 'roots', number>>;

const counters: Readonly<Record<keyof Updates, RegExp>> = {
  cds: /^cluster_manager\.cds\.update_success$/,
  lds: /^listener_manager\.lds\.update_success$/,
  rds: /\.rds\..*\.update_success$/,
  workload: /\bsds\.workload\.update_success$/,
  roots: /\bsds\.roots\.update_success$/,
};

/** Asked for inside the pod: the admin interface listens there alone. */
export async function updatesOf(namespace: string, app: string): Promise<Updates> {
  const { body } = await lab.curl(namespace, app, 'http://127.0.0.1:15000/stats?filter=update_success');
  const lines = body.split('\n').map((line) => line.split(': '));
  const sum = (pattern: RegExp): number => {
    const values = lines.filter(([name = '']) => pattern.test(name)).map(([, value]) => Number(value));
    if (values.length === 0) throw new Error(`the sidecar of ${app} counts nothing like ${pattern.source}:\n${body}`);
    return values.reduce((all, value) => all + value, 0);
  };
  return Object.fromEntries(Object.entries(counters).map(([of, pattern]) => [of, sum(pattern)])) as Updates;
}

/** How often each kind was taken since. */
export function updatesSince(before: Updates, now: Updates): Updates {
  return Object.fromEntries(
    Object.entries(now).map(([of, count]) => [of, count - before[of as keyof Updates]]),
  ) as Updates;
}
