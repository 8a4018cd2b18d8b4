/** From what a MeshRootCertificate says to a provider that issues. */
import { isStatus, KubernetesError } from '#kubernetes/error.ts';
import { Secrets } from '#kubernetes/kinds.ts';
import type { KubeObject, KubernetesClient } from '#kubernetes/types.ts';
import { CertificateError } from '../error.ts';
import { SecretBytes } from '../secret-bytes.ts';
import { loadStored, type SecretName, type StoredAuthority } from '../secret-store.ts';
import { createBuiltinProvider } from './builtin.ts';
import { createCertManagerProvider } from './cert-manager.ts';
import type { Provider, ProviderSpec, VaultSpec } from './provider.ts';
import { createVaultHttp } from './vault-http.ts';
import { createVaultLogin } from './vault-login.ts';
import { createVaultProvider } from './vault.ts';

export interface ProviderContext {
  readonly client: KubernetesClient;
  /** Of the control plane: the only one whose Secrets are read. */
  readonly namespace: string;
  readonly readServiceAccountToken: () => Promise<SecretBytes>;
  readonly rsaBits: () => number;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly onLeftover?: (name: string, error: unknown) => void;
}

/** What tells two providers apart: the spec, and for an authority in a Secret also which one signs there now. */
export interface MadeProvider {
  readonly id: string;
  readonly provider: Provider;
}

/**
 * The provider of a spec; `known` again when nothing has changed, save an authority in a Secret. Throws a CertificateError when a Secret that it needs is
 * missing or holds no usable authority.
 */
export async function provide(
  spec: ProviderSpec,
  context: ProviderContext,
  known: MadeProvider | undefined,
): Promise<MadeProvider> {
  switch (spec.kind) {
    case 'builtin': {
      const { authority, standbyPem } = await authorityIn(spec.secret, context);
      const id = `builtin ${authority.fingerprint}`;
      // Never the known one: roots come and go beside an authority that signs all the while, and it keeps nothing.
      return { id, provider: createBuiltinProvider(authority, context.now, standbyPem) };
    }
    case 'cert-manager': {
      const id = JSON.stringify(spec);
      return known?.id === id ? known : { id, provider: createCertManagerProvider({ spec, ...context }) };
    }
    case 'vault': {
      const caPem = spec.ca && (await readSecret(context, spec.ca.name, spec.ca.key)).revealText();
      const id = JSON.stringify([spec, caPem]);
      return known?.id === id ? known : { id, provider: vaultProvider(spec, caPem, context) };
    }
  }
}

async function authorityIn(secret: SecretName, { client, now }: ProviderContext): Promise<StoredAuthority> {
  const stored = await loadStored(client, secret, now()).catch((error: unknown) => {
    throw secretRefusal(secret.name, error);
  });
  if (stored !== undefined) return stored;
  throw new CertificateError('ca-secret-missing', `There is no Secret ${secret.namespace}/${secret.name}`);
}

function vaultProvider(spec: VaultSpec, caPem: string | undefined, context: ProviderContext): Provider {
  const http = createVaultHttp({ address: spec.address, vaultNamespace: spec.vaultNamespace, caPem });
  const login = createVaultLogin({
    http,
    login: spec.login,
    readSecret: (name, key) => readSecret(context, name, key),
    readServiceAccountToken: context.readServiceAccountToken,
    now: context.now,
  });
  return createVaultProvider({ spec, http, login, rsaBits: context.rsaBits, now: context.now });
}

async function readSecret({ client, namespace }: ProviderContext, name: string, key: string): Promise<SecretBytes> {
  const secret = await client.get<KubeObject>(Secrets, name, namespace).catch((error: unknown) => {
    throw secretRefusal(name, error);
  });
  if (secret === undefined) {
    throw new CertificateError('provider-secret-missing', `There is no Secret ${namespace}/${name}`);
  }
  const value = secret.data?.[key];
  if (!value) throw new CertificateError('provider-secret-missing', `Secret ${namespace}/${name} has no key ${key}`);
  return new SecretBytes(Buffer.from(value, 'base64'));
}

/** 403: the operator grants the read of Secrets that a MeshRootCertificate names, a moment after it appeared. */
function secretRefusal(name: string, error: unknown): unknown {
  if (!(error instanceof KubernetesError)) return error;
  const reason = isStatus(error, 403) ? 'provider-secret-missing' : 'provider-unreachable';
  return new CertificateError(reason, `Secret ${name} cannot be read: ${error.words}`, { cause: error });
}
