/** Makes what the plan asks for in certificates. The keys of both authorities are in their Secrets, and nowhere else. */
import { controlPlaneCaSecretName, tlsSecretName, workloadRootSecretName } from '#cdk8s/names.ts';
import { meshLabels } from '#cdk8s/control-plane.ts';
import { type CertificateAuthority, createAuthority, parseAuthority } from '#certificates/ca.ts';
import { issueServing } from '#certificates/leaf.ts';
import { SecretBytes } from '#certificates/secret-bytes.ts';
import { isAlreadyExists } from '#kubernetes/error.ts';
import { Secrets } from '#kubernetes/kinds.ts';
import type { KubernetesClient } from '#kubernetes/types.ts';
import { fieldManager } from './applier.ts';
import { decode } from './certificate-secrets.ts';
import type { OwnWrites } from './own-writes.ts';
import type { ManagedObject } from './plan/observed.ts';
import type { CaName, Step } from './plan/plan-types.ts';

/** Renewed after two thirds of it. */
const servingLifetimeMs = 30 * 24 * 3_600_000;

const secretNames: Readonly<Record<CaName, string>> = {
  'control-plane': controlPlaneCaSecretName,
  workload: workloadRootSecretName,
};
const commonNames: Readonly<Record<CaName, string>> = {
  'control-plane': 'osm-control-plane-ca.openservicemesh.io',
  workload: 'osm-ca.openservicemesh.io',
};

export interface Authorities {
  /** Makes a CA by create alone, so that two operators, or a user's own CA, never lose one. False: it is there already. */
  make(ca: CaName): Promise<boolean>;
  /** Issues a serving certificate from the control-plane CA into its Secret. Throws a CertificateError. */
  issue(step: Extract<Step, { kind: 'issue' }>): Promise<boolean>;
}

export interface AuthoritiesOptions {
  readonly client: KubernetesClient;
  readonly namespace: string;
  readonly writes: OwnWrites;
  readonly stored: (ref: string) => ManagedObject | undefined;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

export function createAuthorities({ client, namespace, writes, stored, now }: AuthoritiesOptions): Authorities {
  async function signer(): Promise<CertificateAuthority> {
    const secret = stored(`Secret/${namespace}/${controlPlaneCaSecretName}`);
    const certificate = secret && decode(secret, 'ca.crt');
    const key = secret && decode(secret, 'private.key');
    if (!certificate || !key) throw new Error(`Secret ${controlPlaneCaSecretName} is not complete`);
    return parseAuthority(certificate, new SecretBytes(key), now());
  }

  return {
    async make(ca) {
      const made = await createAuthority({ now: now(), commonName: commonNames[ca] });
      const secret = {
        apiVersion: 'v1',
        kind: 'Secret',
        metadata: { name: secretNames[ca], namespace },
        type: 'Opaque',
        data: { 'ca.crt': base64(made.certificatePem), 'private.key': base64(made.privateKey.revealText()) },
      };
      try {
        const written = await client.create<ManagedObject>(Secrets, secret, { fieldManager });
        writes.note(undefined, written, now());
        return true;
      } catch (error) {
        if (isAlreadyExists(error)) return false; // its event is on its way to the store
        throw error;
      }
    },

    async issue({ component, dnsNames, meshName }) {
      const [first, ...others] = dnsNames;
      if (first === undefined) throw new Error(`${component}: a serving certificate needs a name`);
      const authority = await signer();
      const issued = await issueServing(authority, [first, ...others], { now: now(), lifetimeMs: servingLifetimeMs });
      const name = tlsSecretName(component);
      const secret = {
        apiVersion: 'v1',
        kind: 'Secret',
        metadata: { name, namespace, labels: meshLabels(meshName) },
        type: 'kubernetes.io/tls',
        data: {
          'tls.crt': base64(issued.chainPem),
          'tls.key': base64(issued.privateKey.revealText()),
          'ca.crt': base64(authority.certificatePem),
        },
      };
      // Before the write: after it, the store may already show what we wrote.
      const before = stored(`Secret/${namespace}/${name}`);
      const written = await client.apply<ManagedObject>(Secrets, secret, { fieldManager, force: true });
      return writes.note(before, written, now());
    },
  };
}

function base64(text: string): string {
  return Buffer.from(text, 'utf8').toString('base64');
}
