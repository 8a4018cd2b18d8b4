import { isAlreadyExists } from '#kubernetes/error.ts';
import { Secrets } from '#kubernetes/kinds.ts';
import type { KubeObject, KubernetesClient } from '#kubernetes/types.ts';
import { type CertificateAuthority, type CreateAuthorityOptions, createAuthority, parseAuthority } from './ca.ts';
import { CertificateError } from './error.ts';
import { isSelfSigned, readCertificates } from './pem.ts';
import { SecretBytes } from './secret-bytes.ts';

export interface SecretName {
  readonly namespace: string;
  readonly name: string;
}

/** The keys that OSM gave its CA Secrets, and users their own. */
const certificateKey = 'ca.crt';
const privateKeyKey = 'private.key';

/** The other root of a rotation, beside the one that signs (operator/root-secret.ts). */
export const standbyKeys = { certificate: 'standby.crt', privateKey: 'standby.key' } as const;

/** An authority as its Secret holds it. */
export interface StoredAuthority {
  readonly authority: CertificateAuthority;
  /** PEM of the root that is trusted beside it, while one of the two takes over from the other; empty where there is none. */
  readonly standbyPem: string;
}

/** The authority in a Secret; undefined when there is no such Secret. Throws a CertificateError when it is unusable. */
export async function loadAuthority(
  client: KubernetesClient,
  { namespace, name }: SecretName,
  now: number,
): Promise<CertificateAuthority | undefined> {
  const secret = await client.get<KubeObject>(Secrets, name, namespace);
  return secret === undefined ? undefined : readAuthority(secret, now);
}

/** The same, and what is trusted beside it. */
export async function loadStored(
  client: KubernetesClient,
  { namespace, name }: SecretName,
  now: number,
): Promise<StoredAuthority | undefined> {
  const secret = await client.get<KubeObject>(Secrets, name, namespace);
  if (secret === undefined) return undefined;
  return { authority: await readAuthority(secret, now), standbyPem: standbyRoot(secret) };
}

/**
 * One that cannot be read must not stop the authority beside it. Nobody takes it for published: a rotation goes on only
 * when every sidecar has acknowledged both roots.
 */
function standbyRoot({ data }: KubeObject): string {
  const pem = Buffer.from(data?.[standbyKeys.certificate] ?? '', 'base64').toString('utf8');
  try {
    const roots = readCertificates(pem).filter(isSelfSigned);
    return roots.map((root) => root.toString()).join('');
  } catch {
    return '';
  }
}

/** The authority in a Secret that was read already, e.g. by a reflector. */
export function readAuthority(secret: KubeObject, now: number): Promise<CertificateAuthority> {
  const { namespace, name } = secret.metadata;
  const certificate = secret.data?.[certificateKey];
  const privateKey = secret.data?.[privateKeyKey];
  if (!certificate || !privateKey) {
    throw new CertificateError(
      'ca-secret-incomplete',
      `Secret ${namespace}/${name} must hold ${certificateKey} and ${privateKeyKey}`,
    );
  }
  return parseAuthority(
    Buffer.from(certificate, 'base64').toString('utf8'),
    new SecretBytes(Buffer.from(privateKey, 'base64')),
    now,
  );
}

export interface LoadOrCreateOptions extends CreateAuthorityOptions {
  readonly labels?: Readonly<Record<string, string>>;
}

/**
 * The authority in a Secret, made if there is none. Create-only: a Secret that is there is never written, and of several
 * processes that begin at once, the first one's authority is everybody's.
 */
export async function loadOrCreateAuthority(
  client: KubernetesClient,
  secretName: SecretName,
  options: LoadOrCreateOptions,
): Promise<{ authority: CertificateAuthority; created: boolean }> {
  // Twice: between "it is there already" and reading it, somebody may delete it.
  for (let attempt = 1; ; attempt++) {
    const found = await loadAuthority(client, secretName, options.now);
    if (found !== undefined) return { authority: found, created: false };
    const authority = await createAuthority(options);
    try {
      await client.create(Secrets, secretOf(authority, secretName, options.labels));
      return { authority, created: true };
    } catch (error) {
      if (!isAlreadyExists(error) || attempt === 2) throw error;
    }
  }
}

function secretOf(
  authority: CertificateAuthority,
  { namespace, name }: SecretName,
  labels: Readonly<Record<string, string>> = {},
): KubeObject & { type: string } {
  const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name, namespace, labels: { ...labels } },
    type: 'Opaque',
    data: {
      [certificateKey]: base64(Buffer.from(authority.certificatePem)),
      [privateKeyKey]: base64(authority.privateKey.reveal()),
    },
  };
}
