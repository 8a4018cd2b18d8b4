/** Makes what the plan asks for in certificates. The keys of both authorities are in their Secrets, and nowhere else. */
import { controlPlaneCaSecretName, tlsSecretName, workloadRootSecretName } from '#cdk8s/names.ts';
import { meshLabels } from '#cdk8s/control-plane.ts';
import { type CertificateAuthority, createAuthority, parseAuthority } from '#certificates/ca.ts';
import { issueServing } from '#certificates/leaf.ts';
import { SecretBytes } from '#certificates/secret-bytes.ts';
import { isAlreadyExists } from '#kubernetes/error.ts';
import { Secrets } from '#kubernetes/kinds.ts';
import { pathOf, query } from '#kubernetes/paths.ts';
import type { KubernetesClient } from '#kubernetes/types.ts';
import { fieldManager } from './applier.ts';
import { annotations, authorityData, base64, keys, patchFor, type SecretPatch } from './ca-secret.ts';
import { decode } from './certificate-secrets.ts';
import type { OwnWrites } from './own-writes.ts';
import type { ManagedObject } from './plan/observed.ts';
import type { CaName, Step } from './plan/plan-types.ts';
import { rootPatchFor } from './root-secret.ts';

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
  make(step: Extract<Step, { kind: 'make-ca' }>): Promise<boolean>;
  /** Takes the rotation of the control-plane CA one step on. Throws a conflict when its Secret is not as it was seen. */
  rotate(step: Extract<Step, { kind: 'rotate-ca' }>): Promise<boolean>;
  /** Takes the rotation of the workload root one step on. Throws a conflict when its Secret is not as it was seen. */
  rotateRoot(step: Extract<Step, { kind: 'rotate-root' }>): Promise<boolean>;
  /** Makes a workload root in this Secret, unless there is one. False: it is there already. */
  makeRoot(secret: string): Promise<boolean>;
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
  const controlPlaneCa = (): ManagedObject | undefined => stored(`Secret/${namespace}/${controlPlaneCaSecretName}`);

  async function signerOf(which: 'current' | 'former'): Promise<CertificateAuthority> {
    const secret = controlPlaneCa();
    const certificate = secret && decode(secret, which === 'current' ? keys.certificate : keys.formerCertificate);
    const key = secret && decode(secret, which === 'current' ? keys.privateKey : keys.formerPrivateKey);
    if (!certificate || !key) throw new Error(`Secret ${controlPlaneCaSecretName} is not complete`);
    return parseAuthority(certificate, new SecretBytes(key), now());
  }

  /** By POST alone, so that what is there is never overwritten. What was stored; undefined when there is one already. */
  async function create(
    name: string,
    commonName: string,
    more: { readonly data?: Record<string, string>; readonly annotations?: Record<string, string> } = {},
  ): Promise<ManagedObject | undefined> {
    const made = await createAuthority({ now: now(), commonName });
    const secret = {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name, namespace, annotations: more.annotations ?? {} },
      type: 'Opaque',
      data: { ...authorityData(made), ...more.data },
    };
    try {
      return await client.create<ManagedObject>(Secrets, secret, { fieldManager });
    } catch (error) {
      if (isAlreadyExists(error)) return undefined; // its event is on its way to the store
      throw error;
    }
  }

  /** Patches a CA's Secret if it is as it was seen. `patchOf` is given its `data`, and what makes a new CA of its name. */
  async function change(
    ca: CaName,
    resourceVersion: string,
    patchOf: (
      data: Readonly<Record<string, string>>,
      makeAuthority: () => Promise<CertificateAuthority>,
    ) => Promise<SecretPatch>,
  ): Promise<boolean> {
    const name = secretNames[ca];
    const before = stored(`Secret/${namespace}/${name}`);
    // The store may have moved on since the plan was made: the server compares too, but a new CA is made from this.
    if (before?.metadata.resourceVersion !== resourceVersion) {
      throw new Error(`Secret ${name} has changed meanwhile`);
    }
    const makeAuthority = () => createAuthority({ now: now(), commonName: commonNames[ca] });
    const { data, annotations: changed } = await patchOf(before.data ?? {}, makeAuthority);
    const path = pathOf(Secrets, { namespace, name }) + query({ fieldManager });
    const patch = { metadata: { resourceVersion, annotations: changed }, data };
    const headers = { 'content-type': 'application/merge-patch+json' };
    const written = await client.request<ManagedObject>('PATCH', path, patch, headers);
    return writes.note(before, written, now());
  }

  return {
    async make({ ca, formerPem, request }) {
      const former = formerPem === undefined ? {} : { [keys.formerCertificate]: base64(formerPem) };
      const answered = request === undefined ? {} : { [annotations.request]: request };
      const written = await create(secretNames[ca], commonNames[ca], { data: former, annotations: answered });
      if (written === undefined) return false;
      writes.note(undefined, written, now());
      return true;
    },

    async makeRoot(name) {
      // Whatever it holds: a user's own authority is the controller's to judge.
      if ((await client.get(Secrets, name, namespace)) !== undefined) return false;
      // Not noted as a write of ours: what is ours and no longer wanted is deleted, and a root never is.
      return (await create(name, commonNames.workload)) !== undefined;
    },

    rotate: ({ move, ca, resourceVersion }) =>
      change('control-plane', resourceVersion, (stored, makeAuthority) =>
        patchFor(move, { ca, stored, now: now(), makeAuthority }),
      ),

    rotateRoot: ({ move, resourceVersion }) =>
      change('workload', resourceVersion, (stored, makeAuthority) =>
        rootPatchFor(move, { stored, now: now(), makeAuthority }),
      ),

    async issue({ component, dnsNames, meshName, signer }) {
      const [first, ...others] = dnsNames;
      if (first === undefined) throw new Error(`${component}: a serving certificate needs a name`);
      const authority = await signerOf(signer);
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
