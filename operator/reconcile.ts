/**
 * One pass: observe, plan, carry out, observe again, write status. Status is written from the second look, so that it
 * speaks of what the pass left behind: a Deployment just changed is already `RollingOut` there.
 */
import { injectorName, version } from '#cdk8s/names.ts';
import type { Condition } from '#kubernetes/conditions.ts';
import { MeshConfigs } from '#kubernetes/kinds.ts';
import type { KubeObject, KubernetesClient } from '#kubernetes/types.ts';
import { fieldManager } from './applier.ts';
import { type Executed, execute, type Executor } from './execute.ts';
import { desiredMesh, observe, type ObserveOptions } from './observe.ts';
import type { OwnWrites } from './own-writes.ts';
import { isAvailable, rolloutOf } from './plan/deployments.ts';
import { notThisMesh } from './plan/not-this-mesh.ts';
import type { DesiredMesh, Observed } from './plan/observed.ts';
import { plan } from './plan/plan.ts';
import type { Plan } from './plan/plan-types.ts';
import { mustAskControllers } from './plan/root-rotation.ts';
import { mustAskReplicas } from './plan/rotation.ts';
import { type ConditionValue, status } from './plan/status.ts';
import { type MeshStatus, nextStatus, sameStatus } from './status-object.ts';
import type { Stores } from './stores.ts';
import { readReplicaReports } from './replica-reports.ts';
import { askReplicas } from './replicas.ts';

/** After a refusal by the API server. */
const rejectedMs = 60_000;
/** Nothing in a store tells when a Service begins to answer. */
const unansweredMs = 500;

/** Between two passes; a rotation under way makes one each 10 s, and a failed one is tried again within 30. */
const longestBreakMs = 40_000;

export interface ReconcilerOptions
  extends Omit<ObserveOptions, 'now' | 'followedSince' | 'replicas' | 'controllers' | 'injectorAnswers'> {
  readonly client: KubernetesClient;
  readonly stores: Stores;
  readonly writes: OwnWrites;
  readonly executor: Executor;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** Called when a condition's status or reason changed. */
  readonly onCondition: (meshConfig: KubeObject, condition: Condition) => void;
  /** Called when the API server did not say which replicas there are, or what they report. */
  readonly onUnasked: (error: unknown) => void;
  /** Whether the injector answers at its Service, to whoever trusts these roots (PEM). */
  readonly askInjector: (rootsPem: string) => Promise<boolean>;
}

export interface Pass {
  readonly plan: Plan;
  /** What the pass left behind. */
  readonly observed: Observed;
  readonly executed: Executed;
  readonly statusWritten: boolean;
  /** Milliseconds until the next pass is due, if nothing changes before. */
  readonly requeueAfter: number | undefined;
}

export function createReconciler(options: ReconcilerOptions): () => Promise<Pass> {
  const { client, stores, writes, executor, namespace, now } = options;
  // The store of MeshConfigs lags behind our own status writes: until it moves on, this is what we wrote.
  const written = new Map<string, { readonly status: MeshStatus; readonly before: string }>();

  function currentStatus(object: KubeObject): Partial<MeshStatus> | undefined {
    const { uid = '', resourceVersion = '' } = object.metadata;
    const own = written.get(uid);
    if (own?.before === resourceVersion) return own.status;
    written.delete(uid);
    return object.status as Partial<MeshStatus> | undefined;
  }

  let followedSince = Number.POSITIVE_INFINITY;
  let followedUntil = Number.NEGATIVE_INFINITY;

  /** This process may have led before, and not meanwhile. */
  function follow(): void {
    const at = now();
    if (at - followedUntil > longestBreakMs || at < followedUntil) followedSince = at;
    followedUntil = at;
  }

  /** Replicas are asked only while a rotation depends on their answers. */
  async function observeAll(): Promise<Observed> {
    const observed = observe(stores, writes, { ...options, followedSince, now: now() });
    const [replicas, controllers] = await Promise.all([served(observed), reported(observed)]);
    return { ...observed, replicas, controllers };
  }

  async function served(observed: Observed): Promise<Observed['replicas']> {
    const { controlPlaneCa: ca } = observed;
    if (!mustAskReplicas(observed) || ca.kind !== 'present') return undefined;
    try {
      return await askReplicas({ client, namespace, rootsPem: ca.authority.rootsPem });
    } catch (error) {
      // An answer that is not there holds the rotation up, and nothing else.
      options.onUnasked(error);
      return [];
    }
  }

  async function reported(observed: Observed): Promise<Observed['controllers']> {
    if (!mustAskControllers(observed)) return undefined;
    try {
      return await readReplicaReports({ client, namespace, now: now() });
    } catch (error) {
      options.onUnasked(error);
      return undefined;
    }
  }

  /**
   * What a pass left behind. The injector's Service is asked on the way to Ready alone: a mesh that is ready does not cease to be
   * so because one connection of the operator's failed.
   */
  async function observeAfter(object: KubeObject | undefined, before: Observed): Promise<Observed> {
    const { replicas, controllers } = before;
    const observed = observe(stores, writes, { ...options, followedSince, replicas, controllers, now: now() });
    const { controlPlaneCa: ca } = observed;
    const ready = object && currentStatus(object)?.conditions?.find(({ type }) => type === 'Ready');
    if (object === undefined || ready?.status === 'True' || ca.kind !== 'present') return observed;
    if (!isAvailable(rolloutOf(injectorName, observed))) return observed;
    return { ...observed, injectorAnswers: await options.askInjector(ca.authority.rootsPem) };
  }

  /** The conditions whose status or reason changed; undefined when nothing had to be written. */
  async function writeStatus(
    object: KubeObject,
    values: readonly ConditionValue[],
    running: string | undefined,
  ): Promise<Condition[] | undefined> {
    const current = currentStatus(object);
    const next = nextStatus(current, values, {
      generation: object.metadata.generation ?? 0,
      now: now(),
      version: running,
    });
    if (sameStatus(current, next) || !executor.mayWrite()) return undefined;
    const { name, namespace: where = '', uid = '', resourceVersion = '' } = object.metadata;
    await client.apply<KubeObject>(
      MeshConfigs,
      { apiVersion: object.apiVersion, kind: object.kind, metadata: { name, namespace: where }, status: next },
      { fieldManager, force: true, subresource: 'status' },
    );
    written.set(uid, { status: next, before: resourceVersion });
    return next.conditions.filter((condition) => {
      const before = current?.conditions?.find(({ type }) => type === condition.type);
      return before?.status !== condition.status || before.reason !== condition.reason;
    });
  }

  async function writeOwnStatus(
    object: KubeObject,
    desired: DesiredMesh,
    { plan: planned, observed, executed }: Pick<Pass, 'plan' | 'observed' | 'executed'>,
  ): Promise<boolean> {
    const changed = await writeStatus(object, status(desired, planned, observed, executed.outcome), version);
    for (const condition of changed ?? []) options.onCondition(object, condition);
    return changed !== undefined;
  }

  /** An installation has one control plane, so whatever else is a MeshConfig is one by mistake. */
  async function writeOtherStatuses(): Promise<void> {
    for (const object of stores.meshConfigs.store.values()) {
      const { namespace: where, deletionTimestamp } = object.metadata;
      if (where === namespace || deletionTimestamp !== undefined) continue;
      await writeStatus(object, notThisMesh(namespace), undefined);
    }
  }

  return async () => {
    const { object, desired } = desiredMesh(stores, namespace);
    follow();
    const before = await observeAll();
    const planned = plan(desired, before);
    const executed = await execute(planned, executor);
    const observed = await observeAfter(object, before);
    const done = { plan: planned, observed, executed };
    const statusWritten = object === undefined ? false : await writeOwnStatus(object, desired, done);
    if (executed.outcome.kind === 'failed') throw executed.error;
    if (planned.reason.key !== 'owner-missing') await writeOtherStatuses();
    // A person must act, on the MeshConfig or on what refuses the object; only the first of these makes a pass by itself.
    if (executed.outcome.kind === 'rejected') return { ...done, statusWritten, requeueAfter: rejectedMs };
    // What changed may have made the next step possible (an authority was made, say): look again at once.
    if (executed.changes > 0) return { ...done, statusWritten, requeueAfter: 0 };
    const requeueAfter = observed.injectorAnswers === false ? unansweredMs : planned.requeueAfter;
    return { ...done, statusWritten, requeueAfter };
  };
}
