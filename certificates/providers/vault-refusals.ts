/** What Vault's refusals of a signature mean, and how each is cured. Pure; the words are those of its PKI engine. */
import { CertificateError } from '../error.ts';
import type { KeyType } from '../keys.ts';
import type { CertificateNames } from '../names.ts';
import type { VaultRefusal } from './vault-http.ts';

export interface RefusedRequest {
  readonly mount: string;
  readonly role: string;
  readonly trustDomain: string;
  readonly names: CertificateNames;
}

/** The error that a refusal stands for: the field at fault by name, and the command that mends it. */
export function refusedBy(
  refusal: VaultRefusal,
  { mount, role, trustDomain, names }: RefusedRequest,
): CertificateError {
  const { status, words } = refusal;
  const path = `${mount}/roles/${role}`;
  const cured = (reason: CertificateError['reason'], cure: string): CertificateError =>
    new CertificateError(reason, `Vault's role ${path} does not fit a mesh: ${words}. ${cure}`, { cause: refusal });

  if (words.includes('URI Subject Alternative Name')) {
    return cured(
      'vault-uri-sans-not-allowed',
      `Identities are URIs: vault patch ${path} allowed_uri_sans='spiffe://${trustDomain}/*'`,
    );
  }
  if (words.includes('common_name field is required')) {
    return cured(
      'vault-common-name-required',
      `Names longer than 64 characters have no common name: vault patch ${path} require_cn=false`,
    );
  }
  if (/(common name|subject alternate name) .*not allowed/.test(words)) {
    return cured(
      'vault-names-not-allowed',
      names.uri === undefined
        ? `Its workloads and ${names.dns.join(', ')} must be allowed together: vault patch ${path} ` +
            `allowed_domains=${[trustDomain, ...names.dns].join(',')} allow_bare_domains=true allow_subdomains=true enforce_hostnames=false`
        : `vault patch ${path} allowed_domains=${trustDomain} allow_subdomains=true enforce_hostnames=false`,
    );
  }
  if (words.includes('role requires')) {
    return cured('vault-key-type-unsupported', `vault patch ${path} key_type=ec key_bits=256, or key_type=any`);
  }
  if (status === 404 || words.includes('unknown role')) {
    return new CertificateError(
      'provider-not-found',
      `Vault knows no role ${path}: ${words}; enable the PKI engine there and make the role`,
      { cause: refusal },
    );
  }
  // 429, 472 and 473 are a standby's or a replica's answers; 503 is a sealed Vault's.
  if (status === 429 || status >= 472)
    return new CertificateError('provider-unreachable', refusal.message, { cause: refusal });
  if (status === 403) {
    return new CertificateError(
      'provider-denied',
      `${refusal.message}; the token's policy must grant update on ${mount}/sign/${role}`,
      { cause: refusal },
    );
  }
  return new CertificateError('provider-failed', refusal.message, { cause: refusal });
}

/** Envoy takes no longer RSA key, and no shorter one is safe. */
const mostBits = 4_096;

/** The key that a role asks for in its refusal of another one; undefined when that is not what it says, or not to be had. */
export function demandedKey(words: string, asked: KeyType, rsaBits: number): KeyType | undefined {
  const type = /role requires keys of type (\w+)/.exec(words)?.[1];
  if (type === 'rsa' && asked.kind !== 'rsa') return { kind: 'rsa', bits: rsaBits };
  if (type === 'ec' && asked.kind !== 'ecdsa') return { kind: 'ecdsa' };
  const bits = Number(/role requires a minimum of a (\d+)-bit key/.exec(words)?.[1] ?? 0);
  return asked.kind === 'rsa' && bits > asked.bits && bits <= mostBits ? { kind: 'rsa', bits } : undefined;
}
