/**
 * Vault's PKI engine. Requests are signed (`sign/<role>`), so keys are made here and never travel. A token that may only
 * `issue`, as OSM used it, is still served, over TLS alone: then Vault makes the key.
 */
import { createPrivateKey, createPublicKey } from 'node:crypto';
import { accept, type Accepted } from '../accept.ts';
import { createSigningRequest, type SigningRequest } from '../csr.ts';
import { CertificateError } from '../error.ts';
import type { KeyType } from '../keys.ts';
import type { CertificateNames } from '../names.ts';
import { isSelfSigned, readCertificates } from '../pem.ts';
import { SecretBytes } from '../secret-bytes.ts';
import { type Provider, providerOf, type VaultSpec, type Wanted } from './provider.ts';
import { type VaultAnswer, type VaultHttp, VaultRefusal } from './vault-http.ts';
import type { VaultLogin } from './vault-login.ts';
import { demandedKey, refusedBy } from './vault-refusals.ts';

export interface VaultOptions {
  readonly spec: VaultSpec;
  readonly http: VaultHttp;
  readonly login: VaultLogin;
  /** Bits of RSA keys where the role demands RSA. */
  readonly rsaBits: () => number;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

export function createVaultProvider({ spec, http, login, rsaBits, now }: VaultOptions): Provider {
  const { mount, role } = spec;
  /** What the role asked for when it refused another: it is asked no second time. */
  let demanded: KeyType | undefined;
  let mayOnlyIssue = false;

  /** A token that Vault no longer takes looks like one without rights: another is tried once. */
  async function withToken(path: string, body: Record<string, unknown>): Promise<VaultAnswer> {
    const token = await login.token();
    try {
      return await http.call({ method: 'POST', path, token, body });
    } catch (error) {
      if (!(error instanceof VaultRefusal) || error.status !== 403) throw error;
      login.refused(token);
      return http.call({ method: 'POST', path, token: await login.token(), body });
    }
  }

  /** With `use_csr_common_name` and `use_csr_sans` off, a role takes names from here and not from the request. */
  function fields({ uri, dns, commonName }: CertificateNames, { lifetimeMs }: Wanted): Record<string, unknown> {
    return {
      ...(commonName === undefined ? {} : { common_name: commonName }),
      alt_names: dns.join(','),
      ...(uri === undefined ? {} : { uri_sans: uri }),
      ttl: `${Math.ceil(lifetimeMs / 1_000)}s`,
      format: 'pem',
    };
  }

  async function sign(names: CertificateNames, wanted: Wanted): Promise<Accepted> {
    let keyType = demanded ?? wanted.keyType;
    for (let tries = 1; ; tries++) {
      const request = await createSigningRequest(names, keyType);
      try {
        const answer = await withToken(`${mount}/sign/${role}`, { csr: request.csrPem, ...fields(names, wanted) });
        return taken(answer, names, request);
      } catch (error) {
        const other = error instanceof VaultRefusal ? demandedKey(error.words, keyType, rsaBits()) : undefined;
        // First the type, then the length: a role that wants a third thing has changed meanwhile.
        if (other === undefined || tries === 3) throw error;
        demanded = keyType = other;
      }
    }
  }

  async function issue(names: CertificateNames, wanted: Wanted): Promise<Accepted> {
    const answer = await withToken(`${mount}/issue/${role}`, {
      ...fields(names, wanted),
      private_key_format: 'pkcs8',
    });
    const key = answer.data?.['private_key'];
    if (typeof key !== 'string')
      throw new CertificateError('provider-failed', `Vault's ${mount}/issue/${role} gave no key`);
    return taken(answer, names, requestOf(key));
  }

  function taken(answer: VaultAnswer, names: CertificateNames, request: SigningRequest): Accepted {
    const data = answer.data ?? {};
    const chain = [data['issuing_ca'], ...(Array.isArray(data['ca_chain']) ? data['ca_chain'] : [])].filter(
      (each): each is string => typeof each === 'string',
    );
    const certificates = typeof data['certificate'] === 'string' ? data['certificate'] : '';
    return accept({ certificates, authorities: chain.join('\n') }, { names, request, now: now() });
  }

  return providerOf({
    kind: 'vault',
    async sign(names, wanted) {
      try {
        if (mayOnlyIssue) return await issue(names, wanted);
        return await sign(names, wanted).catch(async (error: unknown) => {
          if (!isForbidden(error) || !spec.address.startsWith('https:')) throw error;
          const issued = await issue(names, wanted).catch((second: unknown) => {
            throw isForbidden(second) ? error : second;
          });
          mayOnlyIssue = true;
          return issued;
        });
      } catch (error) {
        if (!(error instanceof VaultRefusal)) throw error;
        throw refusedBy(error, { mount, role, trustDomain: wanted.trustDomain, names });
      }
    },
    async publishedRoots() {
      // Open to everybody, but a mount may hold several issuers and this is the default one's: without a root of its own, ask.
      const answer = await http.call({ method: 'GET', path: `${mount}/cert/ca_chain` }).catch((error: unknown) => {
        if (error instanceof VaultRefusal) return undefined;
        throw error;
      });
      const chain = answer?.data?.['certificate'];
      if (typeof chain !== 'string') return undefined;
      const roots = readCertificates(chain).filter(isSelfSigned);
      return roots.length === 0 ? undefined : roots.map(String).join('');
    },
    close: () => http.close(),
  });
}

function isForbidden(error: unknown): boolean {
  return error instanceof VaultRefusal && error.status === 403;
}

/** A key that came from Vault, in the shape of one that was made here. */
function requestOf(privateKeyPem: string): SigningRequest {
  const publicKey = createPublicKey(createPrivateKey(privateKeyPem)).export({ type: 'spki', format: 'der' });
  return { csrPem: '', privateKey: new SecretBytes(`${privateKeyPem.trim()}\n`), publicKey: new Uint8Array(publicKey) };
}
