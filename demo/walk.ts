/** Walks the nine steps: applies each, watches the counters until they move as expected, and prints what was seen. */
import { readFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { type Judgement, judge, type Kubectl, type Reading, readCounters, windowLength } from './observe.ts';
import { type Action, type Step, STEPS } from './steps.ts';

/** A step gets this long to converge: a window of its own, and a retry or two. */
const STEP_DEADLINE_MS = 90_000;

export interface WalkOptions {
  readonly kubectl: Kubectl;
  readonly log: (line: string) => void;
  /** Manifests of the demo. */
  readonly manifests: URL;
  readonly meshNamespace: string;
  /** Stop at the first step that does not behave. */
  readonly check: boolean;
}

/** Returns the number of steps that did not behave. */
export async function walk(options: WalkOptions): Promise<number> {
  let failed = 0;
  for (const [index, step] of STEPS.entries()) {
    options.log(`\n== Step ${index + 1} of ${STEPS.length}: ${step.title}`);
    for (const action of step.actions) await perform(action, options);
    const judgement = await settle(step, options);
    printTable(judgement, options.log);
    if (!judgement.ok) {
      failed += 1;
      if (options.check) break;
    }
  }
  return failed;
}

async function perform(action: Action, { kubectl, log, manifests, meshNamespace }: WalkOptions): Promise<void> {
  switch (action.kind) {
    case 'none':
      return;
    case 'apply':
      log(`   kubectl apply -f demo/manifests/${action.file}`);
      await kubectl(['apply', '-f', '-'], readFileSync(new URL(action.file, manifests), 'utf8'));
      return;
    case 'permissive': {
      const patch = JSON.stringify({ spec: { traffic: { enablePermissiveTrafficPolicyMode: action.value } } });
      log(`   kubectl patch meshconfig osm-mesh-config -n ${meshNamespace} --type merge -p '${patch}'`);
      await kubectl(['patch', 'meshconfig', 'osm-mesh-config', '-n', meshNamespace, '--type', 'merge', '-p', patch]);
      return;
    }
  }
}

/** Looks at one window after another until one is as expected or the deadline has passed. */
async function settle(step: Step, options: WalkOptions): Promise<Judgement> {
  const deadline = Date.now() + STEP_DEADLINE_MS;
  const length = windowLength(step.expected);
  let judgement: Judgement | undefined;
  while (judgement === undefined || (!judgement.ok && Date.now() < deadline)) {
    const before = await readCounters(options.kubectl);
    const after = await readAfter(before, length, deadline, options.kubectl);
    judgement = judge(before, after, step.expected);
  }
  return judgement;
}

/** Reads until buyer and thief have both made `rounds` further attempts. */
async function readAfter(before: Reading, rounds: number, deadline: number, kubectl: Kubectl): Promise<Reading> {
  for (;;) {
    const now = await readCounters(kubectl);
    const done = Math.min(now.attempts.buyer - before.attempts.buyer, now.attempts.thief - before.attempts.thief);
    if (done >= rounds || Date.now() > deadline) return now;
    await pause(500);
  }
}

function printTable(judgement: Judgement, log: (line: string) => void): void {
  log(`   ${'counter'.padEnd(12)}${'before'.padStart(8)}${'after'.padStart(8)}   ${'expected'.padEnd(10)}seen`);
  for (const row of judgement.rows) {
    const numbers = `${String(row.before).padStart(8)}${String(row.after).padStart(8)}`;
    log(`   ${row.name.padEnd(12)}${numbers}   ${row.expected.padEnd(10)}${row.ok ? 'ok' : 'NOT AS EXPECTED'}`);
  }
}
