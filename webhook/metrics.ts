/** The injector's metrics. */
import { collectDefaultMetrics, Counter, Histogram, Registry } from 'prom-client';
import type { Reviewed } from './mutate.ts';

export interface WebhookMetrics {
  readonly registry: Registry;
  reviewed(kind: string, reviewed: Reviewed, seconds: number): void;
}

export function createMetrics(): WebhookMetrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const registers = [registry];
  const reviews = new Counter({
    name: 'osm_admission_reviews_total',
    help: 'Admission reviews by what was decided and why',
    labelNames: ['decision', 'reason'],
    registers,
  });
  const responses = new Counter({
    name: 'osm_admission_webhook_response_total',
    help: 'Admission reviews by kind of object and whether they were answered without an error',
    labelNames: ['kind', 'success'],
    registers,
  });
  const duration = new Histogram({
    name: 'osm_admission_review_duration_seconds',
    help: 'Time from the body of a review to its answer',
    labelNames: ['decision'],
    buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 5],
    registers,
  });
  return {
    registry,
    reviewed(kind, { decision, reason }, seconds) {
      reviews.inc({ decision, reason });
      responses.inc({ kind, success: String(decision !== 'error') });
      duration.observe({ decision }, seconds);
    },
  };
}
