/** What the operator counts. Each label value is a stable key. */
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { ReflectorTransition } from '#kubernetes/types.ts';
import { components, type Observed } from './plan/observed.ts';
import type { Step } from './plan/plan-types.ts';
import { rootRotationOf, rootRotationSteps } from './plan/root-rotation.ts';
import { rotationOf, rotationSteps } from './plan/rotation.ts';

export interface Metrics {
  readonly registry: Registry;
  /** `result` is the key of the plan's reason, or `error`. */
  pass(result: string, milliseconds: number): void;
  change(step: Step): void;
  /** Expiry of authorities and serving certificates, and where the rotations of the control-plane CA and of the workload root stand. */
  certificates(observed: Observed): void;
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
  const expiry = new Gauge({
    name: 'osm_operator_certificate_expiry_timestamp_seconds',
    help: 'End of the life of each authority and serving certificate, seconds since the epoch; known to the replica that leads',
    labelNames: ['certificate'],
    registers,
  });
  const rotation = new Gauge({
    name: 'osm_operator_ca_rotation_step',
    help: 'Where the rotation of the control-plane CA stands: 1 for that step, 0 for the others; known to the replica that leads',
    labelNames: ['step'],
    registers,
  });
  const rootRotation = new Gauge({
    name: 'osm_operator_workload_root_rotation_step',
    help: 'Where the rotation of the built-in workload root stands: 1 for that step, 0 for the others; known to the replica that leads',
    labelNames: ['step'],
    registers,
  });
  return {
    registry,
    pass: (result, milliseconds) => passes.observe({ result }, milliseconds / 1000),
    change: ({ kind, reason }) => changes.inc({ step: kind, reason }),
    certificates(observed) {
      const { controlPlaneCa, workloadRoot, serving } = observed;
      for (const [certificate, ca] of Object.entries({
        'control-plane-ca': controlPlaneCa,
        'workload-root': workloadRoot,
      })) {
        if (ca.kind === 'present') expiry.set({ certificate }, ca.authority.notAfter / 1000);
      }
      for (const certificate of components) {
        const served = serving[certificate];
        if (served !== undefined) expiry.set({ certificate }, served.notAfter / 1000);
      }
      const rootStep = rootRotationOf(observed).step;
      for (const step of rootRotationSteps) rootRotation.set({ step }, step === rootStep ? 1 : 0);
      if (controlPlaneCa.kind !== 'present') return;
      const now = rotationOf(controlPlaneCa.authority, observed).step;
      for (const step of rotationSteps) rotation.set({ step }, step === now ? 1 : 0);
    },
    transition: ({ kind, name }) => transitions.inc({ kind, transition: name }),
    leading(isLeader) {
      leader.set(isLeader ? 1 : 0);
      if (isLeader) return;
      // What another replica does from now on is not known here.
      expiry.reset();
      rotation.reset();
      rootRotation.reset();
    },
  };
}
