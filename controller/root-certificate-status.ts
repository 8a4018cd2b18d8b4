/**
 * PURE: what `kubectl get mrc` shows of a MeshRootCertificate: whether its role is what happens, and if not, which step of the
 * walk is under way and whom it waits for. Made by the leading controller from what every replica reports.
 */
import type { Choice, RootCertificate } from '#certificates/choice.ts';
import { type CertificateFacts, signsMeanwhile } from '#certificates/facts.ts';
import type { ReplicaReport } from '#certificates/replica-report.ts';
import { filterTrust, printsOf, type Trust } from '#certificates/trust.ts';
import type { ConditionValue } from './mesh-conditions.ts';
import type { Holder, Wait } from './spread.ts';
import type { Walk } from './workload-ca.ts';

/** What a sidecar does with it. */
export type Use = 'issuing' | 'validating' | 'unused' | 'unknown';

export type State =
  | 'spreading'
  | 'trusted'
  | 'handing-over'
  | 'signing'
  | 'replacing'
  | 'retiring'
  | 'unused'
  | 'error';

export interface RootCertificateStatus {
  readonly state: State;
  /** When the step under way ends at the latest, in milliseconds since 1970. */
  readonly transitionAfter: number | undefined;
  readonly sidecar: Use;
  /** Ready, Reconciling, Stalled. */
  readonly conditions: readonly ConditionValue[];
}

export interface WalkFindings {
  readonly choice: Choice;
  readonly facts: CertificateFacts;
  readonly walk: Walk;
  /** Every replica that counts, this one first. */
  readonly replicas: readonly { readonly podName: string; readonly report: ReplicaReport }[];
}

interface Verdict {
  readonly state: State;
  /** CamelCase, of Ready, and of Reconciling or Stalled where one of them is so. */
  readonly reason: string;
  readonly message: string;
  /** `done`: the role is what happens. `stalled`: a person must act. `trouble`: tried again by itself. */
  readonly kind: 'done' | 'moving' | 'trouble' | 'stalled';
  /** What is still under way although the role is what happens. */
  readonly meanwhile?: { readonly reason: string; readonly message: string };
  readonly until?: number | undefined;
}

export function rootCertificateStatus(root: RootCertificate, findings: WalkFindings): RootCertificateStatus {
  return statusOf(verdictOf(root, findings), useOf(root, findings));
}

/** Of one in another namespace than the control plane's. */
export function elsewhereStatus(namespace: string): RootCertificateStatus {
  const message =
    `Only MeshRootCertificates of the control plane’s namespace count: make it in ${namespace}, ` +
    'with the Secrets that it names, and delete this one.';
  return statusOf({ state: 'error', kind: 'stalled', reason: 'NotThisNamespace', message }, 'unused');
}

function statusOf(verdict: Verdict, sidecar: Use): RootCertificateStatus {
  const { state, reason, message, kind, meanwhile, until } = verdict;
  const moving = kind === 'moving' ? { reason, message } : meanwhile;
  return {
    state,
    transitionAfter: until,
    sidecar,
    conditions: [
      { type: 'Ready', status: kind === 'done' ? 'True' : 'False', reason, message },
      moving === undefined
        ? { type: 'Reconciling', status: 'False', reason: 'NoStepUnderWay', message: 'No step is under way.' }
        : { type: 'Reconciling', status: 'True', ...moving },
      kind === 'stalled'
        ? { type: 'Stalled', status: 'True', reason, message }
        : { type: 'Stalled', status: 'False', reason: 'NotStalled', message: 'Nothing waits for a person.' },
    ],
  };
}

function useOf(root: RootCertificate, { walk, replicas }: WalkFindings): Use {
  if (signersOf(root, replicas).length > 0) return 'issuing';
  // A process that has yet to find its feet must not forget who signed last: it goes on from there (`lastChoice`).
  if (replicas.every(({ report }) => report.signing === '')) return root.lastUse ?? 'unknown';
  const given = printsOf(walk.given);
  const isGiven = [...printsOf(rootsOf(root, walk))].some(([domain, prints]) =>
    prints.some((print) => given.get(domain)?.includes(print)),
  );
  if (!isGiven) return 'unused';
  return root.role === 'inactive' && retained(root, walk).size === 0 ? 'unused' : 'validating';
}

function verdictOf(root: RootCertificate, findings: WalkFindings): Verdict {
  const { choice, facts } = findings;
  if (root.role === 'inactive') return inactive(root, findings);
  if (choice.kind === 'problem') return notFollowed(root, choice, findings);
  const trouble = facts.troubles.find(({ rootCertificate }) => rootCertificate === root.name);
  if (trouble !== undefined) {
    const message = `${sentence(trouble.message)} ${signsMeanwhile(facts)}`.trimEnd();
    return { state: 'error', kind: 'trouble', reason: camelCase(trouble.key), message };
  }
  return choice.signing.root?.uid === root.uid ? signer(root, findings) : trusted(root, choice, findings);
}

function notFollowed(
  root: RootCertificate,
  { key, message, about }: Extract<Choice, { kind: 'problem' }>,
  { facts }: WalkFindings,
): Verdict {
  const until = `Until then all stays as it was. ${signsMeanwhile(facts)}`.trimEnd();
  if (about.includes(root.name)) {
    return { state: 'error', kind: 'stalled', reason: camelCase(key), message: `${sentence(message)} ${until}` };
  }
  const first = `No role is followed while MeshRootCertificate ${about.join(', ')} is in use as it is (${key}).`;
  return { state: 'error', kind: 'stalled', reason: 'NotFollowed', message: `${first} ${until}` };
}

/** The one that signs, or shall. */
function signer(root: RootCertificate, findings: WalkFindings): Verdict {
  const { facts, walk, replicas } = findings;
  const roots = rootsOf(root, walk);
  const signing = signersOf(root, replicas);
  const others = replicas.filter(({ report }) => report.signing !== '' && report.signer !== root.uid);
  if (signing.length === 0 || others.length > 0) {
    const wait = walk.waitFor(roots);
    if (wait !== undefined || roots.size === 0 || others.length === 0) return spreading(roots, wait, facts);
    const message = `Every sidecar has its root; it signs as soon as these replicas have seen that too: ${names(others)}.`;
    return { state: 'handing-over', kind: 'moving', reason: 'HandingOver', message };
  }
  const message = sentence(`It signs for trust domain ${root.trustDomain}`) + unacknowledged(walk.holders(roots));
  const own = printsOf(roots);
  const replacing = replicas.filter(({ report }) =>
    Object.entries(report.trustDomains).some(([domain, { needed }]) =>
      needed.some((print) => own.get(domain)?.includes(print) !== true),
    ),
  );
  if (replacing.length === 0) return { state: 'signing', kind: 'done', reason: 'Signing', message };
  const meanwhile = {
    reason: 'ReplacingCertificates',
    message: `Certificates that lead to another root are replaced, at these replicas: ${names(replacing)}.`,
  };
  return { state: 'replacing', kind: 'done', reason: 'Signing', message, meanwhile };
}

/** In use, and not chosen to sign. */
function trusted(
  root: RootCertificate,
  { signing }: Extract<Choice, { kind: 'chosen' }>,
  { facts, walk, replicas }: WalkFindings,
): Verdict {
  const next = signing.root === undefined ? 'the built-in authority' : `MeshRootCertificate ${signing.root.name}`;
  if (signersOf(root, replicas).length > 0) {
    const { root: chosen, trustDomain } = signing;
    const wait = walk.waitFor(chosen === undefined ? walk.wanted : rootsOf({ ...chosen, trustDomain }, walk));
    const message = `It signs until sidecars trust ${next}. ${waiting(wait)}`.trimEnd();
    return { state: 'handing-over', kind: 'moving', reason: 'HandingOver', message, until: wait?.until };
  }
  const roots = rootsOf(root, walk);
  const wait = walk.waitFor(roots);
  if (wait !== undefined || roots.size === 0) return spreading(roots, wait, facts);
  const role =
    root.role === 'passive'
      ? `${next} signs`
      : `of two that are active the older signs, ${next}: make that one passive`;
  const message = `It is trusted; ${role}.${unacknowledged(walk.holders(roots))}`;
  return { state: 'trusted', kind: 'done', reason: 'Trusted', message };
}

function spreading(roots: Trust, wait: Wait | undefined, facts: CertificateFacts): Verdict {
  const first = roots.size === 0 ? 'Its root is looked for.' : 'Sidecars are given its root.';
  const message = [first, signsMeanwhile(facts), waiting(wait)].filter(Boolean).join(' ');
  return { state: 'spreading', kind: 'moving', reason: 'SpreadingTrust', message, until: wait?.until };
}

function inactive(root: RootCertificate, { walk, replicas }: WalkFindings): Verdict {
  if (signersOf(root, replicas).length > 0) {
    const message = 'It signs until sidecars trust its successor.';
    return { state: 'handing-over', kind: 'moving', reason: 'HandingOver', message };
  }
  const left = printsOf(retained(root, walk));
  if (left.size === 0) {
    return {
      state: 'unused',
      kind: 'done',
      reason: 'Unused',
      message: 'It is inactive: neither signs nor is trusted.',
    };
  }
  const needing = replicas.filter(({ report }) =>
    [...left].some(([domain, prints]) => prints.some((print) => report.trustDomains[domain]?.needed.includes(print))),
  );
  const message =
    needing.length > 0
      ? `Its root is trusted until certificates that lead to it are replaced, at these replicas: ${names(needing)}.`
      : 'No certificate in use leads to its root; it is trusted for a while yet, for sidecars that are without a controller.';
  const until = needing.length > 0 ? undefined : walk.narrowsAt;
  return { state: 'retiring', kind: 'moving', reason: 'Retiring', message, until };
}

/** What sidecars are given of its roots although nothing in use asks for them. */
function retained(root: RootCertificate, { given, wanted }: Walk): Trust {
  const [own, asked] = [printsOf(rootsOf(root, undefined)), printsOf(wanted)];
  return filterTrust(
    given,
    (domain, print) => own.get(domain)?.includes(print) === true && asked.get(domain)?.includes(print) !== true,
  );
}

function rootsOf(
  { uid, trustDomain, knownRoots }: Pick<RootCertificate, 'uid' | 'trustDomain' | 'knownRoots'>,
  walk: Walk | undefined,
): Trust {
  const current = walk?.rootsOf(uid);
  if (current !== undefined && current.size > 0) return current;
  return new Map(knownRoots === '' ? [] : [[trustDomain, knownRoots]]);
}

function signersOf({ uid }: RootCertificate, replicas: WalkFindings['replicas']): WalkFindings['replicas'] {
  return replicas.filter(({ report }) => report.signing !== '' && report.signer === uid);
}

/** Whom a step waits for. Counts come from sidecars that do not answer, and so do not change by themselves. */
function waiting(wait: Wait | undefined): string {
  if (wait === undefined || wait.holders.length === 0) return '';
  return `It waits for sidecars that have not acknowledged it: ${wait.holders.map(holderName).join('; ')}.`;
}

function unacknowledged(holders: readonly Holder[]): string {
  if (holders.length === 0) return '';
  const named = holders.map(holderName).join('; ');
  return ` These have not acknowledged it in time, and refuse certificates under it until they do: ${named}.`;
}

function holderName({ podName, behind, named }: Holder): string {
  if (behind === 0) return `all of replica ${podName}, which has yet to take it up`;
  const more = behind > named.length ? ' and others' : '';
  return `${behind} of replica ${podName} (${named.join(', ')}${more})`;
}

function names(replicas: readonly { readonly podName: string }[]): string {
  return replicas.map(({ podName }) => podName).join(', ');
}

function sentence(text: string): string {
  return text.endsWith('.') ? text : `${text}.`;
}

function camelCase(key: string): string {
  return key
    .split('-')
    .map((word) => word.charAt(0).toUpperCase() + word.slice(1))
    .join('');
}
