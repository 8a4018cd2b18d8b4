/** What the operator counts. Each label value is a stable key. */
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { ReflectorTransition } from '#kubernetes/types.ts';
import type { Step } from './plan/plan-types.ts';

export interface Metrics {
  readonly registry: Registry;
  /** `result` is the key of the plan's reason, or `error`. */
  pass(result: string, milliseconds: number): void;
  change(step: Step): void;
  transition(transition: ReflectorTransition): void;
  leading(isLeader: boolean): void;
}

export function createMetrics(): Metrics {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });
  const passes = new Histogram({
    name: 'osm_operator_pass_seconds',
    help: 'Time of one pass, by what the plan was',
    labelNames: ['result'],
    buckets: [0.005, 0.02, 0.1, 0.5, 2, 10],
    registers,
  });
  const changes = new Counter({
    name: 'osm_operator_changes_total',
    help: 'Objects that the operator made, changed or removed',
    labelNames: ['step', 'reason'],
    registers,
  });
  const transitions = new Counter({
    name: 'osm_watch_transitions_total',
    help: 'Lists, watches and their failures, by kind',
    labelNames: ['kind', 'transition'],
    registers,
  });
  const leader = new Gauge({
    name: 'osm_operator_leader',
    help: '1 in the replica that leads',
    registers,
  });
  return {
    registry,
    pass: (result, milliseconds) => passes.observe({ result }, milliseconds / 1000),
    change: ({ kind, reason }) => changes.inc({ step: kind, reason }),
    transition: ({ kind, name }) => transitions.inc({ kind, transition: name }),
    leading: (isLeader) => leader.set(isLeader ? 1 : 0),
  };
}
