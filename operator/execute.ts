/** Carries out a plan's steps, in order, until one fails. */
import type { KubernetesClient } from '#kubernetes/types.ts';
import { guardConfigMapName } from '#cdk8s/names.ts';
import { type Applier, RejectedObject } from './applier.ts';
import type { Authorities } from './authorities.ts';
import { kindNamed } from './own-kinds.ts';
import { type ManagedObject, refOf } from './plan/observed.ts';
import type { Plan, Step } from './plan/plan-types.ts';
import type { Outcome } from './plan/status.ts';

export interface Executor {
  readonly client: KubernetesClient;
  readonly applier: Applier;
  readonly authorities: Authorities;
  readonly namespace: string;
  /** The stored object of a ref, our own newest write included. */
  readonly stored: (ref: string) => ManagedObject | undefined;
  /** Asked before each step; false when another replica leads now. */
  readonly mayWrite: () => boolean;
  /** Called for each step that changed something. */
  readonly onChange: (step: Step, object: string) => void;
}

export interface Executed {
  readonly outcome: Outcome;
  /** Steps that changed something. */
  readonly changes: number;
  readonly error?: unknown;
}

export async function execute({ steps }: Plan, executor: Executor): Promise<Executed> {
  let changes = 0;
  for (const step of steps) {
    try {
      if (!executor.mayWrite()) throw new Error('another replica leads now');
      if (await carryOut(step, executor)) {
        changes += 1;
        executor.onChange(step, subjectOf(step));
      }
    } catch (error) {
      return { outcome: outcomeOf(error, step), changes, error };
    }
  }
  return { outcome: { kind: 'done' }, changes };
}

async function carryOut(step: Step, executor: Executor): Promise<boolean> {
  const { applier, authorities, client, namespace, stored } = executor;
  switch (step.kind) {
    case 'set-guard': {
      const object = {
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: { name: guardConfigMapName, namespace },
        data: { state: step.state },
      };
      return applier.apply(object, stored(refOf(object)));
    }
    case 'make-ca':
      return authorities.make(step);
    case 'rotate-ca':
      return authorities.rotate(step);
    case 'rotate-root':
      return authorities.rotateRoot(step);
    case 'make-root':
      return authorities.makeRoot(step.secret);
    case 'issue':
      return authorities.issue(step);
    case 'check':
      for (const object of step.objects) await applier.check(object, stored(refOf(object)));
      return false;
    case 'apply':
      return applier.apply(step.object, stored(refOf(step.object)));
    case 'delete': {
      const { kind, metadata } = step.object;
      return client.delete(kindNamed(kind), metadata.name, metadata.namespace);
    }
  }
}

/** The object that a step is about, for logs. */
function subjectOf(step: Step): string {
  switch (step.kind) {
    case 'set-guard':
      return `guard ${step.state}`;
    case 'make-ca':
      return `${step.ca} authority`;
    case 'rotate-ca':
      return `control-plane authority: ${step.move.kind}`;
    case 'rotate-root':
      return `workload root: ${step.move.kind}`;
    case 'make-root':
      return `workload root ${step.secret}`;
    case 'issue':
      return `serving certificate of ${step.component}`;
    case 'check':
      return step.objects.map(refOf).join(', ');
    case 'apply':
    case 'delete':
      return refOf(step.object);
  }
}

function outcomeOf(error: unknown, step: Step): Outcome {
  const message = error instanceof Error ? error.message : String(error);
  if (error instanceof RejectedObject) return { kind: 'rejected', object: error.object, message };
  return { kind: 'failed', message: `${subjectOf(step)}: ${message}` };
}
