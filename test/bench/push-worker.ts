/** A process that plays many sidecars: `open` starts some, `expect` says what they must all acknowledge next. */
import { CLUSTER, ENDPOINTS, ROUTES } from '#xds/cache/types.ts';
import { openSidecar, type Sidecar, type SidecarOptions } from './push-sidecar.ts';

/** What each sidecar has to have acknowledged for the worker to say `done`. */
export type Expectation =
  /** All that a new stream is given. */
  | { readonly kind: 'complete' }
  /** Endpoints of the service (`<namespace>/<name>`), sent after the expectation was set. */
  | { readonly kind: 'endpoints'; readonly service: string }
  /** New outbound routes, and this many clusters of services with their endpoints. */
  | { readonly kind: 'policy'; readonly clusters: number };

export type ToWorker =
  | { readonly do: 'open'; readonly sidecars: readonly SidecarOptions[] }
  | { readonly do: 'expect'; readonly what: Expectation }
  /** Asks what is still missing. */
  | { readonly do: 'explain' };

export type FromWorker =
  | { readonly say: 'ready' }
  /** `at`: milliseconds since the epoch of the last acknowledgement; `bytes`: of all responses since the expectation. */
  | { readonly say: 'done'; readonly at: number; readonly bytes: number; readonly responses: number }
  | { readonly say: 'missing'; readonly why: string }
  | { readonly say: 'ended'; readonly why: string };

const sidecars = new Set<Sidecar>();
let waiting:
  | { what: Expectation; missing: Set<Sidecar>; told: Set<Sidecar>; bytes: number; responses: number }
  | undefined;

process.on('message', (message: ToWorker) => {
  if (message.do === 'open') for (const options of message.sidecars) open(options);
  else if (message.do === 'expect') expect(message.what);
  else say({ say: 'missing', why: explain() });
});
process.on('disconnect', () => process.exit(0));

function say(message: FromWorker): void {
  process.send?.(message);
}

function explain(): string {
  const [one] = waiting?.missing ?? [];
  if (waiting === undefined || one === undefined) return 'nothing';
  const held = [...one.held].map(([type, names]) => `${names.size} ${type.slice(type.lastIndexOf('.') + 1)}`);
  return `${waiting.missing.size} of ${sidecars.size} sidecars wait for ${JSON.stringify(waiting.what)}; one holds ${held.join(', ')}`;
}

function open(options: SidecarOptions): void {
  const sidecar = openSidecar(
    options,
    ({ type, names, bytes }) => {
      if (waiting === undefined) return;
      waiting.bytes += bytes;
      waiting.responses += 1;
      const { what } = waiting;
      if (
        what.kind === 'endpoints' &&
        type === ENDPOINTS &&
        names.some((name) => name.startsWith(`${what.service}|`))
      ) {
        waiting.told.add(sidecar);
      }
      if (what.kind === 'policy' && type === ROUTES && names.some((name) => name.startsWith('outbound.'))) {
        waiting.told.add(sidecar);
      }
      look(sidecar);
    },
    (why) => say({ say: 'ended', why: `${options.node}: ${why}` }),
  );
  sidecars.add(sidecar);
  waiting?.missing.add(sidecar);
}

function expect(what: Expectation): void {
  const missing = what.kind === 'complete' ? [...sidecars].filter((sidecar) => !sidecar.complete()) : sidecars;
  waiting = { what, missing: new Set(missing), told: new Set(), bytes: 0, responses: 0 };
  say({ say: 'ready' });
}

function look(sidecar: Sidecar): void {
  if (waiting === undefined || !waiting.missing.has(sidecar) || !holds(waiting.what, waiting.told, sidecar)) return;
  waiting.missing.delete(sidecar);
  if (waiting.missing.size > 0) return;
  const { bytes, responses } = waiting;
  waiting = undefined;
  say({ say: 'done', at: performance.timeOrigin + performance.now(), bytes, responses });
}

function holds(what: Expectation, told: ReadonlySet<Sidecar>, sidecar: Sidecar): boolean {
  switch (what.kind) {
    case 'complete':
      return sidecar.complete();
    case 'endpoints':
      return told.has(sidecar);
    case 'policy': {
      const clusters = [...(sidecar.held.get(CLUSTER) ?? [])].filter((name) => name.includes('|')).length;
      return told.has(sidecar) && clusters === what.clusters && sidecar.complete();
    }
    default:
      return what satisfies never;
  }
}
