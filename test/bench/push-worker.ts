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
  /** `at`: milliseconds since the epoch of the last acknowledgement; `bytes`: of all responses since the expectation; `retries`: of connections, since the start. */
  | {
      readonly say: 'done';
      readonly at: number;
      readonly bytes: number;
      readonly responses: number;
      readonly retries: number;
    }
  | { readonly say: 'missing'; readonly why: string }
  | { readonly say: 'ended'; readonly why: string };

const sidecars = new Set<Sidecar>();
/** Sidecars that are told to connect and have not begun. */
let opening = 0;
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
  return `${waiting.missing.size + opening} of ${sidecars.size + opening} sidecars wait for ${JSON.stringify(waiting.what)}; one holds ${held.join(', ')}`;
}

/** Before its first try too: a fleet that loses its controller does not come back in the same millisecond. */
function open(options: SidecarOptions): void {
  opening += 1;
  setTimeout(() => connect(options, 1), Math.random() * firstRetryMs);
}

/** Envoy's pace: half a second, doubled each time, and a random part of that. */
const firstRetryMs = 500;
const longestRetryMs = 30_000;
/** Connections that a busy controller did not take up (its accept queue is 511 long), and that were tried again. */
let retries = 0;

function connect(options: SidecarOptions, attempt: number): void {
  let heard = false;
  let over = false;
  const sidecar = openSidecar(
    options,
    ({ type, names, bytes }) => {
      heard = true;
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
    (why) => {
      if (over) return;
      over = true;
      if (heard || attempt === 8) return say({ say: 'ended', why: `${options.node}, try ${attempt}: ${why}` });
      retries += 1;
      sidecar.close();
      sidecars.delete(sidecar);
      waiting?.missing.delete(sidecar);
      opening += 1;
      const wait = Math.random() * Math.min(longestRetryMs, firstRetryMs * 2 ** attempt);
      setTimeout(() => connect(options, attempt + 1), wait);
    },
  );
  opening -= 1;
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
  if (waiting.missing.size + opening > 0) return;
  const { bytes, responses } = waiting;
  waiting = undefined;
  say({ say: 'done', at: performance.timeOrigin + performance.now(), bytes, responses, retries });
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
