/** When the mesh is looked at anew, and how much of it: changes of the stores → one revision → connected sidecars. */
import type { Logger } from 'pino';
import type { MeshModel, NameKey } from '#mesh/model.ts';
import { plaintextWorkloads } from '#mesh/plaintext.ts';
import type { Problem } from '#mesh/problem.ts';
import { createCoalescer } from './coalesce.ts';
import type { Distribution, Told } from './distribution.ts';
import type { Metrics } from './metrics.ts';
import type { ControllerSettings } from './parse/config.ts';
import { type Change, createPending } from './pending.ts';
import type { Stores } from './stores.ts';

const CONVERGENCE_LIMIT_MS = 90_000;

/** What the last compile found, and the settings that it was made with. */
export interface Compiled {
  readonly settings: ControllerSettings;
  readonly model: MeshModel;
  readonly problems: readonly Problem[];
}

export interface RevisionsOptions {
  readonly log: Logger;
  readonly metrics: Metrics;
  /** Asked when there is something to do: each needs the other. */
  readonly stores: () => Stores;
  readonly distribution: () => Distribution;
  readonly onCompiled: () => void;
}

export interface Revisions {
  /** Something changed in the cluster. */
  changed(change: Change): void;
  /** Everything is to be looked at, for another reason than a change. */
  request(reason: string): void;
  /** Undefined before the first compile. */
  readonly compiled: Compiled | undefined;
  stop(): void;
}

export function createRevisions(options: RevisionsOptions): Revisions {
  const { log, metrics } = options;
  const pending = createPending();
  let compiled: Compiled | undefined;
  let changedAt: number | undefined;
  let measuring = false;

  const coalescer = createCoalescer({
    windowMs: 10,
    onError: (error) => log.error({ err: error }, 'the mesh could not be compiled; sidecars keep what they have'),
    run: async (reasons) => {
      const stores = options.stores();
      const settings = stores.settings();
      if (settings === undefined || stores.waitingFor().length > 0) return;
      const since = changedAt;
      changedAt = undefined;
      const work = pending.take();
      try {
        const short = work.kind === 'endpoints' ? await changeEndpoints(work.services) : undefined;
        const { told, settled } = short ?? (await revise(settings));
        log.debug({ revision: options.distribution().revision, reasons: [...reasons], told: told.length }, 'revised');
        if (since !== undefined) measureConvergence(since, settled);
      } catch (error) {
        pending.note({ kind: 'failed revision' }); // whatever comes next starts from all objects
        throw error;
      }
    },
  });

  function changeEndpoints(services: ReadonlySet<NameKey>): Promise<Told | undefined> {
    const changes = [...services].map((key) => {
      const [namespace = '', service = ''] = key.split('/');
      return { namespace, service, slices: options.stores().slicesOf(key) };
    });
    return options.distribution().updateEndpoints(changes);
  }

  async function revise(settings: ControllerSettings): Promise<Told> {
    const result = await options.distribution().revise(options.stores().objects(settings.mesh));
    metrics.compile.observe(result.compileMs / 1000);
    compiled = { settings, model: result.model, problems: result.problems };
    metrics.plaintextPods.reset();
    for (const { namespace, pods } of plaintextWorkloads(result.model)) metrics.plaintextPods.inc({ namespace }, pods);
    options.onCompiled();
    return result;
  }

  /** One at a time: a sidecar that never answers must not make every change after it wait on one list more. */
  function measureConvergence(since: number, settled: Told['settled']): void {
    if (measuring) return;
    measuring = true;
    void settled(CONVERGENCE_LIMIT_MS).then((done) => {
      measuring = false;
      if (done) metrics.convergence.observe((performance.now() - since) / 1000);
    });
  }

  return {
    changed(change) {
      changedAt ??= performance.now();
      pending.note(change);
      coalescer.trigger(change.kind);
    },
    request(reason) {
      pending.note({ kind: reason });
      coalescer.trigger(reason);
    },
    get compiled() {
      return compiled;
    },
    stop: () => coalescer.stop(),
  };
}
