/** What is logged and counted of workload certificates, and told of them by the replica that leads. No line holds a key: certificates are named by account. */
import type { Logger } from 'pino';
import type { Source } from '#certificates/choice.ts';
import { type CertificateFacts, nameOf, troubleOf } from '#certificates/facts.ts';
import type { WorkloadCacheEvent } from '#certificates/workload-cache.ts';
import type { EventNote } from '#kubernetes/event-object.ts';
import type { KubeObject } from '#kubernetes/types.ts';
import type { Metrics } from './metrics.ts';

export interface CertificateEventsOptions {
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly facts: () => CertificateFacts;
  /** One replica tells for all; each logs what it finds itself. */
  readonly leads: () => boolean;
  /** What Events are about: the MeshRootCertificate of that name, or the MeshConfig where there is none. */
  readonly subject: (rootCertificate: string | undefined) => KubeObject | undefined;
  readonly record: (note: EventNote) => void;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

export interface CertificateEvents {
  onEvent(event: WorkloadCacheEvent, signing: Source | undefined): void;
  /** Tells what is wrong now, as far as it was not told lately. Called now and then. */
  tell(): void;
}

/** The same trouble is told again after this long: it may name another account in each of its words. */
const againMs = 60_000;

export function certificateEvents(options: CertificateEventsOptions): CertificateEvents {
  const { log, metrics, now } = options;
  const toldAt = new Map<string, number>();

  function tell(): void {
    const { troubles } = options.facts();
    const at = now();
    for (const { key, message, rootCertificate } of troubles) {
      const topic = `${rootCertificate ?? ''} ${key}`;
      if (at - (toldAt.get(topic) ?? Number.NEGATIVE_INFINITY) < againMs) continue;
      toldAt.set(topic, at);
      log.error({ key, rootCertificate }, message);
      if (!options.leads()) continue;
      const regarding = options.subject(rootCertificate);
      if (regarding === undefined) continue;
      options.record({
        regarding,
        type: 'Warning',
        reason: 'CertificatesNotIssued',
        action: 'Issue',
        note: `${key}: ${message}`,
      });
    }
    for (const [topic, told] of toldAt) if (at - told >= againMs) toldAt.delete(topic);
  }

  return {
    onEvent(event, signing) {
      if (event.name === 'issued') return metrics.certificates.inc();
      if (event.name === 'issue-waits') return tell();
      const { namespace, name } = event.account;
      const account = `${namespace}/${name}`;
      if (event.name === 'listener-failed') {
        return log.error({ key: event.name, account, err: event.error }, 'a workload certificate was not handed on');
      }
      const { key, message } = troubleOf(event.error);
      const provider = signing?.provider.kind ?? 'builtin';
      metrics.certificateFailures.inc();
      metrics.providerFailures.inc({ provider, key });
      log.warn(
        { key, account, provider: nameOf(signing), failures: event.failures },
        `no workload certificate: ${message}`,
      );
      tell();
    },
    tell,
  };
}
