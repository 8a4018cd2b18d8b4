/**
 * The shapes that the rest of the code sees of the Kubernetes API: raw JSON objects, one descriptor a kind, a small
 * client, and stores that a reflector keeps in step with the server. `client.ts` and `reflector.ts` implement them.
 */

export interface ObjectMeta {
  name: string;
  namespace?: string;
  uid?: string;
  resourceVersion?: string;
  generation?: number;
  creationTimestamp?: string;
  deletionTimestamp?: string;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
  ownerReferences?: OwnerReference[];
}

export interface OwnerReference {
  apiVersion: string;
  kind: string;
  name: string;
  uid: string;
  controller?: boolean;
  blockOwnerDeletion?: boolean;
}

/** Any API object, as JSON. Fields beyond these are narrowed where they are read. */
export interface KubeObject {
  apiVersion: string;
  kind: string;
  metadata: ObjectMeta;
  spec?: unknown;
  status?: unknown;
  data?: Record<string, string>;
}

/** What the client must know of a kind to make its URL. `kinds.ts` holds one constant for each kind that we use. */
export interface Kind {
  /** Empty for the core group. */
  readonly group: string;
  readonly version: string;
  readonly kind: string;
  readonly plural: string;
  readonly namespaced: boolean;
}

export interface ListOptions {
  readonly namespace?: string;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
}

export interface WatchOptions extends ListOptions {
  /** Events after this version; the list's own, or the last one that a watch brought. */
  readonly resourceVersion: string;
  /** After this long the server ends the watch in good order. */
  readonly timeoutSeconds: number;
  /** A silence this long, in milliseconds, ends the watch. Bookmarks come about every minute, where they come at all. */
  readonly idleMs: number;
  readonly signal?: AbortSignal | undefined;
}

/** A BOOKMARK's object carries nothing but its resource version. */
export interface WatchEvent<T extends KubeObject = KubeObject> {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK';
  readonly object: T;
}

export interface ApplyOptions {
  readonly fieldManager: string;
  readonly force?: boolean;
  /** Ask the server what it would store, and store nothing. */
  readonly dryRun?: boolean;
  /** `status` applies to the status subresource. */
  readonly subresource?: 'status';
}

/** Raw JSON in, raw JSON out. Every method throws a KubernetesError on an answer of 400 or more, unless it says otherwise. */
export interface KubernetesClient {
  /** Undefined when the object does not exist (404). */
  get<T extends KubeObject>(kind: Kind, name: string, namespace?: string): Promise<T | undefined>;
  /** All pages. */
  list<T extends KubeObject>(kind: Kind, options?: ListOptions): Promise<{ items: T[]; resourceVersion: string }>;
  create<T extends KubeObject>(
    kind: Kind,
    object: T,
    options?: { fieldManager?: string; dryRun?: boolean },
  ): Promise<T>;
  /** PUT: `metadata.resourceVersion`, when set, is the optimistic lock. */
  replace<T extends KubeObject>(kind: Kind, object: T): Promise<T>;
  /** Server-side apply. */
  apply<T extends KubeObject>(kind: Kind, object: T, options: ApplyOptions): Promise<T>;
  /** False when there was nothing to delete. `propagation` defaults to Background. */
  delete(
    kind: Kind,
    name: string,
    namespace?: string,
    options?: { uid?: string; propagation?: 'Background' | 'Foreground' | 'Orphan' },
  ): Promise<boolean>;
  /**
   * One watch: ends when the server ends it in good order, throws a KubernetesError on all else. Nearly everybody wants
   * a Reflector, which never ends, instead.
   */
  watch<T extends KubeObject>(kind: Kind, options: WatchOptions): AsyncIterable<WatchEvent<T>>;
  /** Anything else, e.g. `POST /api/v1/namespaces/x/serviceaccounts/y/token` or `GET /openid/v1/jwks`. */
  request<T>(
    method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE',
    path: string,
    body?: unknown,
    headers?: Record<string, string>,
  ): Promise<T>;
  /** A sentence for readiness once every answer over more than 30 s was 401: our ServiceAccount is gone or another. */
  readonly refusal: string | undefined;
}

/** An answer of 400 or more (or none at all: `status` 0). */
export interface KubernetesErrorShape {
  readonly status: number;
  /** The server's `reason`, e.g. `AlreadyExists`, `Conflict`, `Forbidden`. */
  readonly reason: string;
  /** Seconds, from Retry-After. */
  readonly retryAfter: number | undefined;
}

/** `<namespace>/<name>`, or `<name>` for cluster-scoped objects. */
export type ObjectKey = string;

export type StoreChange<T> =
  | { readonly type: 'added'; readonly key: ObjectKey; readonly object: T }
  | { readonly type: 'updated'; readonly key: ObjectKey; readonly object: T; readonly previous: T }
  | { readonly type: 'deleted'; readonly key: ObjectKey; readonly previous: T };

/** What one object of the server is in a store. `uid` and `version` (`metadata.resourceVersion`) tell whether anything changed. */
export interface StoreEntry<T> {
  readonly value: T;
  readonly uid: string;
  readonly version: string;
}

/** A read-only, in-memory copy of one kind. */
export interface Store<T> {
  readonly size: number;
  get(key: ObjectKey): T | undefined;
  /** The object with its identity, which `get` leaves out. */
  entry(key: ObjectKey): StoreEntry<T> | undefined;
  keys(): IterableIterator<ObjectKey>;
  values(): IterableIterator<T>;
  /** Called after the store changed. Returns a function that unsubscribes. */
  subscribe(listener: (change: StoreChange<T>) => void): () => void;
}

export interface ReflectorOptions<T> {
  readonly client: KubernetesClient;
  readonly kind: Kind;
  readonly list?: ListOptions;
  /** What is kept of each object; undefined keeps nothing of it. managedFields are gone before it is called. */
  readonly transform: (object: KubeObject) => T | undefined;
  /** Connect, reconnect, relist, error…: for logs and metrics. */
  readonly onTransition?: (transition: ReflectorTransition) => void;
  /** For tests; the defaults suit production. */
  readonly timing?: Partial<ReflectorTiming>;
}

export interface ReflectorTransition {
  /**
   * `list-done`, `list-failed`, `watch-started`, `watch-ended` (in good order), `watch-silent` (nothing to tell, or a dead
   * connection: asked anew at once), `watch-failed`, `expired` (410: a new list follows), `transform-failed` (that object
   * stays as it was), `listener-failed`. A metric label.
   */
  readonly name:
    | 'list-done'
    | 'list-failed'
    | 'watch-started'
    | 'watch-ended'
    | 'watch-silent'
    | 'watch-failed'
    | 'expired'
    | 'transform-failed'
    | 'listener-failed';
  /** The Kind's name, e.g. `Pod`. */
  readonly kind: string;
  /** A sentence, or the error's words. */
  readonly detail: string;
}

export interface ReflectorTiming {
  /** A watch is renewed after a random time between half of this and all of it; 480 s. */
  readonly watchSeconds: number;
  /** Silence after which a watch is asked anew; 150,000: more than two periods of bookmarks. */
  readonly idleMs: number;
  /** Waits after failures grow from the first to the second, in milliseconds; 100 and 10,000. */
  readonly firstWaitMs: number;
  readonly longestWaitMs: number;
  /** In [0, 1). */
  readonly random: () => number;
}

/** Keeps a store in step with the server until stopped: list, watch with bookmarks, 410 → relist, jittered backoff. */
export interface Reflector<T> {
  readonly store: Store<T>;
  /** Resolves after the first complete list. */
  readonly synced: Promise<void>;
  /** True once the first list is in the store. */
  readonly isSynced: boolean;
  start(): void;
  stop(): void;
}
