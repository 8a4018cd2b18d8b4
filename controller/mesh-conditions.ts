/**
 * PURE: the conditions that the leading controller writes on the MeshConfig, beside those of the operator. A new one is
 * one more function in `conditions`. Only Ready, Reconciling and Stalled mean anything to kstatus, and so to Argo CD:
 * all three are the operator's, and a False one here makes no application unhealthy.
 */
import { type CertificateFacts, signsMeanwhile, type SourceFact } from '#certificates/facts.ts';
import type { MeshModel } from '#mesh/model.ts';
import { plaintextWorkloads } from '#mesh/plaintext.ts';
import type { Problem } from '#mesh/problem.ts';
import type { GatewayFact } from './gateway-certificate.ts';

/** A metav1 condition without its times and generation. */
export interface ConditionValue {
  /** None of the operator's (`operator/plan/status.ts`): each writes its own. */
  readonly type: string;
  readonly status: 'True' | 'False' | 'Unknown';
  /** CamelCase, stable. */
  readonly reason: string;
  /** Sentences; nothing that changes by itself, since each write wakes every watcher of the MeshConfig. */
  readonly message: string;
}

/** What the last compile found, and the certificate providers. */
export interface Findings {
  readonly model: MeshModel;
  /** Sorted. */
  readonly problems: readonly Problem[];
  /** As this controller sees them, and the others' troubles: each issues to its own sidecars. */
  readonly certificates: CertificateFacts;
  /** Undefined: no certificate for an ingress gateway is asked for. */
  readonly gateway?: GatewayFact | undefined;
}

const gatewayType = 'IngressGatewayCertificateIssued';

/** What is there only while it is asked for, and is taken away after that. */
export const passingTypes: readonly string[] = [gatewayType];

const conditions: readonly ((findings: Findings) => ConditionValue | undefined)[] = [
  policiesAccepted,
  plaintextAccepted,
  workloadCertificatesIssued,
  ingressGatewayCertificateIssued,
];

export function meshConditions(findings: Findings): ConditionValue[] {
  return conditions.map((condition) => condition(findings)).filter((value) => value !== undefined);
}

/** Problems, or workloads, that a message names. The rest is in the API and on the objects. */
const MOST_NAMED = 3;

function firstFew<T>(items: readonly T[], text: (item: T) => string): string {
  const more = items.length > MOST_NAMED ? `; and ${items.length - MOST_NAMED} more` : '';
  return items.slice(0, MOST_NAMED).map(text).join('; ') + more;
}

function policiesAccepted({ problems }: Findings): ConditionValue {
  // What is wrong in the MeshConfig itself is the operator's condition Accepted.
  const found = problems.filter(({ object }) => object.kind !== 'MeshConfig');
  const type = 'PoliciesAccepted';
  if (found.length === 0) {
    return { type, status: 'True', reason: 'AllAccepted', message: 'No problem was found in policies and services.' };
  }
  const count = found.length === 1 ? '1 problem' : `${found.length} problems`;
  const message = `${count}: ${firstFew(found, brief)}. Events on these objects say what to do.`;
  return { type, status: 'False', reason: 'ProblemsFound', message };
}

function brief({ key, object, field }: Problem): string {
  const { kind, namespace, name } = object;
  return `${key} in ${kind} ${namespace === '' ? name : `${namespace}/${name}`}${field === '' ? '' : `, ${field}`}`;
}

/** How many pods a workload has is not said: it changes by itself. */
function plaintextAccepted({ model }: Findings): ConditionValue {
  const workloads = plaintextWorkloads(model);
  const type = 'PlaintextAccepted';
  if (workloads.length === 0) {
    return { type, status: 'False', reason: 'MutualTlsOnly', message: 'Every pod of the mesh takes mTLS alone.' };
  }
  const named = firstFew(
    workloads,
    ({ namespace, kind, name, ports }) => `${kind} ${namespace}/${name} on ${ports.join(', ')}`,
  );
  const message = `Calls from outside the mesh are taken, and no policy applies to them: ${named}.`;
  return { type, status: 'True', reason: 'OpenedByAnnotation', message };
}

function workloadCertificatesIssued({ certificates }: Findings): ConditionValue {
  const { signing, validating, troubles } = certificates;
  const type = 'WorkloadCertificatesIssued';
  if (troubles.length > 0) {
    const named = troubles.slice(0, MOST_NAMED).map(({ key, message }) => `${key}: ${message}`);
    const message =
      `${named.join('; ')}${named.at(-1)?.endsWith('.') ? '' : '.'} ${signsMeanwhile(certificates)}`.trimEnd();
    return { type, status: 'False', reason: 'ProviderTrouble', message };
  }
  if (signing === undefined) {
    return { type, status: 'Unknown', reason: 'Starting', message: 'No provider has been looked at yet.' };
  }
  const others = validating
    .filter(({ rootCertificate }) => rootCertificate !== signing.rootCertificate)
    .map(sourceName);
  const trusted = others.length === 0 ? '' : ` Trusted beside it: ${others.join(', ')}.`;
  const message = `Signed by ${sourceName(signing)} for trust domain ${signing.trustDomain}.${trusted}`;
  return { type, status: 'True', reason: 'Issued', message };
}

/** The end of a certificate changes with each renewal alone. */
function ingressGatewayCertificateIssued({ gateway }: Findings): ConditionValue | undefined {
  const type = gatewayType;
  if (gateway === undefined) return undefined;
  const { secret, dnsNames, trouble, notAfter } = gateway;
  const where = `Secret ${secret.namespace}/${secret.name}`;
  const until = notAfter === undefined ? undefined : new Date(notAfter).toISOString();
  if (trouble !== undefined) {
    const held = until === undefined ? '' : ` What ${where} holds ends on ${until}.`;
    return { type, status: 'False', reason: trouble.reason, message: `${trouble.key}: ${trouble.message}.${held}` };
  }
  if (until === undefined) {
    return { type, status: 'Unknown', reason: 'Starting', message: `${where} has not been looked at yet.` };
  }
  const message = `${where} holds a certificate for ${dnsNames.join(', ')} until ${until}; it is renewed before.`;
  return { type, status: 'True', reason: 'Issued', message };
}

function sourceName({ provider, rootCertificate }: SourceFact): string {
  return rootCertificate === undefined
    ? 'the built-in authority'
    : `${provider}, MeshRootCertificate ${rootCertificate}`;
}
