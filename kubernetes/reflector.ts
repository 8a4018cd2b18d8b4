/**
 * Keeps a store in step with the server, for as long as the process lives:
 *
 *   list (paged) → watch → (ended in good order, silent, cut, refused) → watch from the last version seen
 *        ↑_______________ 410, or any other answer that says that the version is of no use
 *
 * No error ends it but `stop`. Each failure is reported and waited out, longer each time until something arrives.
 */
import { backoffMs } from './backoff.ts';
import { KubernetesError } from './error.ts';
import { listPages } from './list.ts';
import { pause } from './pause.ts';
import { createStore, keyOf } from './store.ts';
import type {
  KubeObject,
  ObjectKey,
  Reflector,
  ReflectorOptions,
  ReflectorTiming,
  ReflectorTransition,
  StoreEntry,
  WatchEvent,
} from './types.ts';

const productionTiming: ReflectorTiming = {
  watchSeconds: 480,
  // Bookmarks come once a minute at best, and the first one of a quiet kind only after two (seen on 1.34).
  idleMs: 150_000,
  firstWaitMs: 100,
  longestWaitMs: 10_000,
  random: Math.random,
};

/** A watch that ends sooner than this without an event did not work: something between closes it at once. */
const shortWatchMs = 1_000;

/** A watch that lived this long did work: what ends it then is the first failure, not one more. */
const soundWatchMs = 5_000;

export function createReflector<T>(options: ReflectorOptions<T>): Reflector<T> {
  const { client, kind, transform } = options;
  const timing = { ...productionTiming, ...options.timing };
  const backoff = { firstMs: timing.firstWaitMs, longestMs: timing.longestWaitMs, random: timing.random };
  const stopping = new AbortController();
  const { promise: synced, resolve: setSynced } = Promise.withResolvers<void>();
  let isSynced = false;
  let started = false;

  function report(name: ReflectorTransition['name'], detail: string): void {
    try {
      options.onTransition?.({ name, kind: kind.kind, detail });
    } catch {
      // Whoever counts or logs transitions must not be able to end the watch; there is nobody else to tell.
    }
  }
  const store = createStore<T>((error) => report('listener-failed', describe(error)));

  /** What the store should hold of an object. A transform that throws leaves what was there: bad input changes nothing. */
  function ingest(key: ObjectKey, object: KubeObject): StoreEntry<T> | undefined {
    strip(object);
    const { uid = '', resourceVersion: version = '' } = object.metadata;
    try {
      const value = transform(object);
      return value === undefined ? undefined : { value, uid, version };
    } catch (error) {
      report('transform-failed', `${key}: ${describe(error)}`);
      return store.entry(key);
    }
  }

  /** Returns the version that the list was of. */
  async function list(): Promise<string> {
    const entries = new Map<ObjectKey, StoreEntry<T>>();
    let version = '';
    for await (const page of listPages(client, kind, options.list)) {
      if (stopping.signal.aborted) return version;
      if (page.restarted) entries.clear();
      for (const object of page.items) {
        const key = keyOf(object);
        const entry = ingest(key, object);
        if (entry !== undefined) entries.set(key, entry);
      }
      version = page.resourceVersion;
    }
    store.replace(entries);
    report('list-done', `${store.size} at version ${version}`);
    return version;
  }

  function accept(event: WatchEvent): void {
    if (event.type === 'BOOKMARK') return;
    const key = keyOf(event.object);
    store.set(key, event.type === 'DELETED' ? undefined : ingest(key, event.object));
  }

  async function run(): Promise<void> {
    let version: string | undefined;
    let failures = 0;
    while (!stopping.signal.aborted) {
      let progress = false;
      let openedAt = Number.POSITIVE_INFINITY;
      try {
        version ??= await list();
        if (stopping.signal.aborted) return;
        if (!isSynced) {
          isSynced = true;
          setSynced();
        }
        openedAt = performance.now();
        const events = client.watch(kind, {
          ...options.list,
          resourceVersion: version,
          timeoutSeconds: Math.ceil((timing.watchSeconds * (1 + timing.random())) / 2),
          idleMs: timing.idleMs,
          signal: stopping.signal,
        });
        report('watch-started', `from version ${version}`);
        for await (const event of events) {
          if (stopping.signal.aborted) return;
          accept(event);
          version = event.object.metadata.resourceVersion ?? version;
          progress = true;
          failures = 0;
        }
        if (!progress && performance.now() - openedAt < shortWatchMs) throw new Error('the watch ended at once');
        report('watch-ended', `at version ${version}`);
        failures = 0;
      } catch (error) {
        if (stopping.signal.aborted) return;
        report(transitionFor(error, version), describe(error));
        // A dead connection shows when the next watch is not answered: only that is a failure, and waited out.
        if (isSilent(error)) continue;
        if (isUseless(error)) version = undefined;
        failures = performance.now() - openedAt > soundWatchMs ? 1 : failures + 1;
        const asked = error instanceof KubernetesError ? (error.retryAfter ?? 0) * 1_000 : 0;
        await pause(Math.max(asked, backoffMs(failures, backoff)), stopping.signal);
      }
    }
  }

  return {
    store,
    synced,
    get isSynced() {
      return isSynced;
    },
    start() {
      if (started) return;
      started = true;
      void run();
    },
    stop() {
      stopping.abort();
    },
  };
}

function transitionFor(error: unknown, version: string | undefined): ReflectorTransition['name'] {
  if (version === undefined) return 'list-failed';
  if (isSilent(error)) return 'watch-silent';
  return error instanceof KubernetesError && error.status === 410 ? 'expired' : 'watch-failed';
}

/** The watch was answered, and then brought nothing: most often because nothing happened to a quiet kind. */
function isSilent(error: unknown): boolean {
  return error instanceof KubernetesError && error.reason === 'Silent';
}

/**
 * True when the server answered, and not just "later": the version is too old (410), of the future (504 after etcd was
 * restored), or the kind or the right to it went away. Only a new list tells. A broken connection says nothing of it.
 */
function isUseless(error: unknown): boolean {
  if (!(error instanceof KubernetesError)) return false;
  return error.status >= 400 && error.status !== 429 && error.status !== 500 && error.status !== 503;
}

/** Leaves out what nobody reads and what is often most of an object. */
function strip(object: KubeObject): void {
  const metadata = object.metadata as { managedFields?: unknown; annotations?: Record<string, string> };
  delete metadata.managedFields;
  if (metadata.annotations) delete metadata.annotations['kubectl.kubernetes.io/last-applied-configuration'];
}

function describe(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
