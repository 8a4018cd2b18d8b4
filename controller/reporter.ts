/**
 * Tells users what the compiler found: conditions on MeshConfig and MeshRootCertificates, Events on all else. Of several controllers the holder
 * of the Lease `osm-controller` does it, from its own last compile. Nothing of it touches configuration: sidecars are
 * served by every controller, whoever holds the Lease and whether or not anybody does.
 */
import type { Logger } from 'pino';
import { createLastingEvents } from '#kubernetes/lasting-events.ts';
import { type LeaderElection, type LeaseTiming, runLeaderElection } from '#kubernetes/lease.ts';
import type { KubeObject, KubernetesClient } from '#kubernetes/types.ts';
import type { ObjectRef } from '#mesh/problem.ts';
import { createCoalescer } from './coalesce.ts';
import { type Findings, meshConditions } from './mesh-conditions.ts';
import { createMeshStatusWriter } from './mesh-status.ts';
import { createRootStatusWriter, type ToldRootCertificate } from './root-status-writer.ts';
import type { Metrics } from './metrics.ts';
import { afterTelling, due, look, type Memory, type Pace, settlesIn, untold, usualPace } from './report.ts';
import { subjects } from './subjects.ts';

const LEASE = 'osm-controller';
const ROUND_MS = 1000;

export interface ReporterOptions {
  readonly client: KubernetesClient;
  readonly namespace: string;
  /** Unique among the controllers: it holds the Lease, and Events name it. */
  readonly podName: string;
  readonly log: Logger;
  readonly metrics: Pick<Metrics, 'leader' | 'untold'>;
  /** Of the last compile; undefined while one is to come whose settings are newer. */
  readonly findings: () => Findings | undefined;
  readonly meshConfig: () => KubeObject | undefined;
  readonly rootCertificates: () => readonly ToldRootCertificate[];
  /** Undefined when the object is gone. */
  readonly subject: (object: ObjectRef) => KubeObject | undefined;
  /** This controller leads until the signal aborts: what else one of them does begins. */
  readonly onLeading: (signal: AbortSignal) => void;
  /** For tests; the defaults suit production. */
  readonly timing?: { readonly pace?: Partial<Pace>; readonly lease?: Partial<LeaseTiming> };
}

export interface Reporter {
  /** Stands for election; to be called when there is something to report. Further calls do nothing. */
  start(): void;
  /** True in the one that tells users. */
  readonly leads: boolean;
  /** Findings, or the MeshConfig, may have changed. */
  changed(): void;
  /** Gives the Lease free and resolves when that is done, or has failed. */
  stop(): Promise<void>;
}

export function createReporter(options: ReporterOptions): Reporter {
  const { client, namespace, podName, log, metrics } = options;
  const pace: Pace = { ...usualPace, ...options.timing?.pace };
  const events = createLastingEvents({
    client,
    controller: 'openservicemesh.io/osm-controller',
    instance: podName,
    now: Date.now,
  });
  let election: LeaderElection | undefined;
  let stopped = false;
  let settled: NodeJS.Timeout | undefined;
  /** Of this term: the next begins with what it finds then. */
  let term: { readonly signal: AbortSignal; memory: Memory | undefined } | undefined;
  let status = createMeshStatusWriter(client);
  let rootStatuses = createRootStatusWriter(client);

  const rounds = createCoalescer({
    windowMs: ROUND_MS, // what changes every moment is told every second at most
    run: round,
    onError: (error) => log.warn({ err: error }, 'problems could not be reported and are tried again'),
  });

  async function round(): Promise<void> {
    const current = term;
    const findings = options.findings();
    if (current === undefined || findings === undefined) return;
    await writeConditions(findings);
    await writeRootStatuses();
    const seen = findings.problems.flatMap((problem) => {
      const subject = subjects[problem.object.kind].tells === 'event' ? options.subject(problem.object) : undefined;
      return subject === undefined ? [] : [{ problem, subject }];
    });
    current.memory = look(current.memory, seen, Date.now(), pace);
    const telling = due(current.memory, Date.now(), pace);
    const failures: unknown[] = [];
    const failed = new Set<string>();
    for (const { identity, how, event } of telling) {
      if (current.signal.aborted) return;
      try {
        await (how === 'once' ? events.tell(event) : events.tellAgain(event));
      } catch (error) {
        failures.push(error);
        failed.add(identity);
      }
    }
    // Not each: an API server that refuses one most often refuses all.
    if (failures.length > 0)
      log.warn({ err: failures[0], failed: failures.length }, 'Events were not written and are tried again');
    current.memory = afterTelling(current.memory, telling, failed, Date.now());
    if (current !== term) return;
    metrics.untold.set(untold(current.memory));
    if (due(current.memory, Date.now(), pace).length > 0) rounds.trigger('more is to be told');
    const young = settlesIn(current.memory, Date.now(), pace);
    clearTimeout(settled);
    if (young !== undefined && !stopped) settled = setTimeout(() => rounds.trigger('a problem has stood'), young);
  }

  /** A refusal is no reason to keep the Events back. */
  async function writeConditions(findings: Findings): Promise<void> {
    const meshConfig = options.meshConfig();
    if (meshConfig === undefined) return;
    try {
      await status.write(meshConfig, meshConditions(findings));
    } catch (error) {
      log.warn({ err: error }, 'the conditions of the MeshConfig were not written and are tried again');
    }
  }

  async function writeRootStatuses(): Promise<void> {
    for (const told of options.rootCertificates()) {
      try {
        await rootStatuses.write(told);
      } catch (error) {
        const { namespace: where, name } = told.object.metadata;
        log.warn(
          { err: error },
          `the status of MeshRootCertificate ${where}/${name} was not written and is tried again`,
        );
      }
    }
  }

  // What is due with time alone: a refresh, a failed try.
  const clock = setInterval(() => rounds.trigger('time passes'), pace.againMs);

  return {
    start() {
      if (stopped) return;
      election ??= runLeaderElection({
        client,
        namespace,
        name: LEASE,
        identity: podName,
        onStarted(signal) {
          term = { signal, memory: undefined };
          status = createMeshStatusWriter(client);
          rootStatuses = createRootStatusWriter(client);
          metrics.leader.set(1);
          log.info({ reason: 'leading' }, 'this controller reports problems');
          signal.addEventListener('abort', () => {
            term = undefined;
            metrics.leader.set(0);
            metrics.untold.set(0);
          });
          options.onLeading(signal);
          rounds.trigger('this controller leads');
        },
        onLost: (reason) =>
          log.warn({ reason }, 'this controller reports problems no more; it goes on serving sidecars'),
        onError: (error) => log.warn({ err: error }, 'the Lease could not be had'),
        ...(options.timing?.lease === undefined ? {} : { timing: options.timing.lease }),
      });
    },
    get leads() {
      return term !== undefined;
    },
    changed: () => rounds.trigger('findings changed'),
    async stop() {
      stopped = true;
      clearInterval(clock);
      clearTimeout(settled);
      rounds.stop();
      await election?.stop();
    },
  };
}
