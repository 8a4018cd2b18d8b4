/** The operator in one process: stores, and passes whenever something in them changes. Leadership is main's business. */
import type { Condition } from '#kubernetes/conditions.ts';
import type { KubeObject, KubernetesClient, ReflectorTransition } from '#kubernetes/types.ts';
import { createApplier } from './applier.ts';
import { createAuthorities } from './authorities.ts';
import { injectorAnswers } from './handshake.ts';
import { storedSecret } from './observe.ts';
import { OwnWrites } from './own-writes.ts';
import { type ManagedObject, refOf, type RootWaits, type RotationWaits } from './plan/observed.ts';
import type { Step } from './plan/plan-types.ts';
import { defaultRootWaits } from './plan/root-rotation.ts';
import { defaultWaits } from './plan/rotation.ts';
import { createReconciler, type Pass } from './reconcile.ts';
import { createStores, type Stores } from './stores.ts';

export interface OperatorOptions {
  readonly client: KubernetesClient;
  readonly namespace: string;
  readonly defaults: { readonly image: string; readonly envoyImage: string };
  /** Of the control-plane CA's rotation, for tests; the design's by default. */
  readonly waits?: RotationWaits;
  /** Of the workload root's rotation, for tests. */
  readonly rootWaits?: RootWaits;
  /** Milliseconds since the epoch; `Date.now` by default. */
  readonly now?: () => number;
  /** Asked before each write; false when another replica leads. Always true by default. */
  readonly mayWrite?: () => boolean;
  readonly onTransition: (transition: ReflectorTransition) => void;
  readonly onChange: (step: Step, object: string) => void;
  readonly onCondition: (meshConfig: KubeObject, condition: Condition) => void;
  /** Called when the API server did not say which replicas there are, or what they report; the rotation waits. */
  readonly onUnasked?: (error: unknown) => void;
  /** For tests without a Service network: whether the injector answers at its Service. */
  readonly askInjector?: (rootsPem: string) => Promise<boolean>;
}

export interface Operator {
  readonly stores: Stores;
  /** Starts the stores; resolves when each holds its first list. */
  start(): Promise<void>;
  /** One pass. Throws what the API server or the network refused; the next pass goes on from there. */
  reconcile(): Promise<Pass>;
  /** Calls `listener` after every change of a store. Returns a function that unsubscribes. */
  onStoreChange(listener: () => void): () => void;
  /** Server-side applies of objects so far, those that changed nothing included. */
  readonly applies: number;
  stop(): void;
}

export function createOperator(options: OperatorOptions): Operator {
  const { client, namespace, defaults, waits = defaultWaits, rootWaits = defaultRootWaits, now = Date.now } = options;
  const stores = createStores({ client, namespace, onTransition: options.onTransition });
  const writes = new OwnWrites();
  const applier = createApplier(client, writes, now);

  function stored(ref: string): ManagedObject | undefined {
    const [kind, , name] = ref.split('/');
    if (kind === 'Secret') return storedSecret(stores, writes, `${namespace}/${name ?? ''}`, now());
    const found = [...stores.managed, stores.guard]
      .flatMap((reflector) => [...reflector.store.values()])
      .find((object) => refOf(object) === ref);
    return writes.newest(ref, found, now());
  }

  const authorities = createAuthorities({ client, namespace, writes, stored, now });
  const { mayWrite = () => true, onChange } = options;
  const executor = { client, applier, authorities, namespace, stored, mayWrite, onChange };
  const reconcile = createReconciler({
    client,
    stores,
    writes,
    executor,
    namespace,
    defaults,
    waits,
    rootWaits,
    now,
    onCondition: options.onCondition,
    onUnasked: options.onUnasked ?? (() => {}),
    askInjector: options.askInjector ?? ((rootsPem) => injectorAnswers(namespace, rootsPem)),
  });
  return {
    stores,
    reconcile,
    async start() {
      for (const reflector of stores.all) reflector.start();
      await Promise.all(stores.all.map((reflector) => reflector.synced));
    },
    onStoreChange(listener) {
      const ends = stores.all.map((reflector) => reflector.store.subscribe(listener));
      return () => {
        for (const end of ends) end();
      };
    },
    get applies() {
      return applier.calls;
    },
    stop() {
      for (const reflector of stores.all) reflector.stop();
    },
  };
}
