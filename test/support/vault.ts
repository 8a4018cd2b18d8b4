/**
 * A stand-in for Vault: its documented HTTP protocol, with a PKI engine that enforces what a role says (key type and size,
 * names, URI names, common name, life), tokens with policies and ends, Kubernetes logins, a seal, and redirects of a standby.
 * Its refusals are in Vault's own words. It is written from Vault's API documentation, not from what our client sends.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { createPublicKey, randomUUID, X509Certificate } from 'node:crypto';
import type { CertificateAuthority } from '#certificates/ca.ts';
import { exportKey, generateKeys, randomSerial } from '#certificates/keys.ts';
import * as x509 from '#certificates/x509.ts';

/** Fields of Vault's PKI roles, with Vault's defaults in `role()`. */
export interface VaultRole {
  readonly allow_any_name: boolean;
  readonly allowed_domains: readonly string[];
  readonly allow_subdomains: boolean;
  readonly allowed_uri_sans: readonly string[];
  readonly key_type: 'rsa' | 'ec' | 'any';
  readonly key_bits: number;
  /** Seconds. */
  readonly ttl: number;
  readonly max_ttl: number;
  readonly require_cn: boolean;
  readonly use_csr_common_name: boolean;
  readonly use_csr_sans: boolean;
  readonly server_flag: boolean;
  readonly client_flag: boolean;
}

export function role(changes: Partial<VaultRole> = {}): VaultRole {
  return {
    allow_any_name: false,
    allowed_domains: [],
    allow_subdomains: false,
    allowed_uri_sans: [],
    key_type: 'rsa',
    key_bits: 2048,
    ttl: 3600,
    max_ttl: 24 * 3600,
    require_cn: true,
    use_csr_common_name: true,
    use_csr_sans: true,
    server_flag: true,
    client_flag: true,
    ...changes,
  };
}

/** A role as our guide makes it. */
export function meshRole(changes: Partial<VaultRole> = {}): VaultRole {
  return role({
    allowed_domains: ['cluster.local'],
    allow_subdomains: true,
    allowed_uri_sans: ['spiffe://cluster.local/*'],
    key_type: 'any',
    require_cn: false,
    ...changes,
  });
}

interface Token {
  /** Paths that it may update. */
  readonly paths: readonly string[];
  /** Milliseconds since 1970; Infinity never ends. */
  expiresAt: number;
  readonly renewable: boolean;
  /** Seconds, at each renewal. */
  readonly period: number;
}

interface KubernetesRole {
  /** Says whether a JWT is that of a bound service account. */
  readonly accepts: (jwt: string) => boolean;
  readonly paths: readonly string[];
  /** Seconds that a token lasts. */
  readonly ttl: number;
}

export interface VaultMount {
  readonly authority: CertificateAuthority;
  readonly roles: Map<string, VaultRole>;
  /** Something in front of Vault refuses `cert/ca_chain`. */
  readonly chainHidden?: boolean;
}

export interface VaultStandIn {
  readonly address: string;
  readonly port: number;
  readonly mounts: Map<string, VaultMount>;
  readonly kubernetes: Map<string, KubernetesRole>;
  /** Every request: `POST pki/sign/web 200`. */
  readonly requests: string[];
  /** Bodies and headers of requests. */
  readonly seen: {
    readonly path: string;
    readonly body: Record<string, unknown>;
    readonly headers: IncomingMessage['headers'];
  }[];
  sealed: boolean;
  /** Answers with a redirect to this address, as a standby does. */
  standbyOf: string | undefined;
  /** Namespace that every call must name; undefined for the open-source Vault. */
  namespace: string | undefined;
  makeToken(token: Partial<Token>): string;
  revoke(token: string): void;
  stop(): Promise<void>;
}

class Refused extends Error {
  readonly status: number;
  constructor(status: number, ...errors: string[]) {
    super(errors.join('; '));
    this.status = status;
  }
}

export interface VaultOptions {
  readonly tls?: { readonly cert: string; readonly key: string };
  readonly port?: number;
}

export async function startVault(options: VaultOptions = {}): Promise<VaultStandIn> {
  const tokens = new Map<string, Token>();
  const handle = (request: IncomingMessage, response: ServerResponse): void => {
    void serve(request, response).catch((error: unknown) => response.destroy(error as Error));
  };
  const server = options.tls === undefined ? createServer(handle) : createTlsServer(options.tls, handle);
  await new Promise<void>((resolve) => server.listen(options.port ?? 0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const vault: VaultStandIn = {
    address: `${options.tls === undefined ? 'http' : 'https'}://127.0.0.1:${port}`,
    port,
    mounts: new Map(),
    kubernetes: new Map(),
    requests: [],
    seen: [],
    sealed: false,
    standbyOf: undefined,
    namespace: undefined,
    makeToken(token) {
      const id = `hvs.${randomUUID()}`;
      tokens.set(id, { paths: [], expiresAt: Number.POSITIVE_INFINITY, renewable: false, period: 0, ...token });
      return id;
    },
    revoke: (token) => void tokens.delete(token),
    async stop() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const text = Buffer.concat(chunks).toString('utf8');
    const path = (request.url ?? '').replace(/^\/v1\//, '');
    const body = (text === '' ? {} : JSON.parse(text)) as Record<string, unknown>;
    vault.seen.push({ path, body, headers: request.headers });
    let status = 200;
    let answer: object;
    if (vault.standbyOf !== undefined) {
      vault.requests.push(`${request.method} ${path} 307`);
      response.writeHead(307, { location: `${vault.standbyOf}/v1/${path}` }).end();
      return;
    }
    try {
      answer = await route(request, path, body);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      status = error.status;
      answer = { errors: error.message === '' ? [] : [error.message] };
    }
    vault.requests.push(`${request.method} ${path} ${status}`);
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(answer));
  }

  async function route(request: IncomingMessage, path: string, body: Record<string, unknown>): Promise<object> {
    if (vault.sealed) throw new Refused(503, 'Vault is sealed');
    const { 'x-vault-token': id, 'x-vault-namespace': namespace } = request.headers;
    if (vault.namespace !== undefined && namespace !== vault.namespace) throw new Refused(403, 'permission denied');
    const login = /^auth\/(.+)\/login$/.exec(path);
    if (login !== null) return logIn(`${login[1]}/${String(body['role'])}`, String(body['jwt']));
    const chain = /^(.+)\/cert\/ca_chain$/.exec(path);
    if (chain !== null) {
      const mount = vault.mounts.get(chain[1] ?? '') ?? unsupported(path);
      if (mount.chainHidden === true) throw new Refused(403);
      return { data: { certificate: mount.authority.certificatePem } };
    }
    const token = tokens.get(String(id));
    // Vault says no more of a token that has ended, that there never was, or that may not.
    if (token === undefined || token.expiresAt <= Date.now()) throw new Refused(403, 'permission denied');
    if (path === 'auth/token/lookup-self') {
      const ttl = Number.isFinite(token.expiresAt) ? Math.ceil((token.expiresAt - Date.now()) / 1000) : 0;
      return { data: { ttl, renewable: token.renewable } };
    }
    if (path === 'auth/token/renew-self') {
      if (!token.renewable) throw new Refused(400, 'lease is not renewable');
      token.expiresAt = Date.now() + token.period * 1000;
      return { auth: { client_token: id, lease_duration: token.period, renewable: true } };
    }
    if (!token.paths.includes(path)) throw new Refused(403, '1 error occurred:\n\t* permission denied\n\n');
    const [, mountPath = '', what, roleName = ''] = /^(.+)\/(sign|issue)\/([^/]+)$/.exec(path) ?? [];
    const mount = vault.mounts.get(mountPath) ?? unsupported(path);
    const found = mount.roles.get(roleName);
    if (found === undefined) throw new Refused(400, `unknown role: ${roleName}`);
    return what === 'sign' ? sign(mount.authority, found, body) : issue(mount.authority, found, body);
  }

  function logIn(name: string, jwt: string): object {
    const found = vault.kubernetes.get(name);
    if (found === undefined) throw new Refused(400, `invalid role name "${name.slice(name.lastIndexOf('/') + 1)}"`);
    if (!found.accepts(jwt)) throw new Refused(403, 'service account name not authorized');
    const token = vault.makeToken({ paths: found.paths, expiresAt: Date.now() + found.ttl * 1000 });
    return { auth: { client_token: token, lease_duration: found.ttl, renewable: true } };
  }
  return vault;
}

function unsupported(path: string): never {
  throw new Refused(404, `no handler for route "${path}". route entry not found.`);
}

async function sign(authority: CertificateAuthority, given: VaultRole, body: Record<string, unknown>): Promise<object> {
  const csr = new x509.Pkcs10CertificateRequest(String(body['csr']));
  if (!(await csr.verify())) throw new Refused(400, 'request signature invalid');
  checkKey(new Uint8Array(csr.publicKey.rawData), given);
  const names =
    csr.extensions.find((each) => each instanceof x509.SubjectAlternativeNameExtension)?.names.toJSON() ?? [];
  const of = (type: string): string[] => names.filter((name) => name.type === type).map(({ value }) => String(value));
  const commonName =
    (given.use_csr_common_name ? csr.subjectName.getField('CN')[0] : undefined) ?? fieldOf(body, 'common_name')[0];
  return certify(authority, given, body, {
    commonName,
    dns: given.use_csr_sans ? of('dns') : fieldOf(body, 'alt_names'),
    uris: given.use_csr_sans ? of('url') : fieldOf(body, 'uri_sans'),
    via: given.use_csr_sans ? 'CSR' : 'the API',
    publicKey: csr.publicKey,
  });
}

async function issue(
  authority: CertificateAuthority,
  given: VaultRole,
  body: Record<string, unknown>,
): Promise<object> {
  const keys = await generateKeys(given.key_type === 'rsa' ? { kind: 'rsa', bits: given.key_bits } : { kind: 'ecdsa' });
  const { data } = await certify(authority, given, body, {
    commonName: fieldOf(body, 'common_name')[0],
    dns: fieldOf(body, 'alt_names'),
    uris: fieldOf(body, 'uri_sans'),
    via: 'the API',
    publicKey: keys.publicKey,
  });
  return {
    data: {
      ...data,
      private_key: (await exportKey(keys.privateKey)).revealText().trim(),
      private_key_type: given.key_type,
    },
  };
}

function fieldOf(body: Record<string, unknown>, field: string): string[] {
  const value = body[field];
  return typeof value === 'string' && value !== '' ? value.split(',') : [];
}

function checkKey(spki: Uint8Array, { key_type: type, key_bits: bits }: VaultRole): void {
  const key = createPublicKey({ key: Buffer.from(spki), format: 'der', type: 'spki' });
  if (type === 'any') return;
  const kind = key.asymmetricKeyType === 'rsa' ? 'rsa' : 'ec';
  if (kind !== type) throw new Refused(400, `role requires keys of type ${type}`);
  const size = kind === 'rsa' ? (key.asymmetricKeyDetails?.modulusLength ?? 0) : 256;
  if (size < bits)
    throw new Refused(400, `role requires a minimum of a ${bits}-bit key, but CSR's key is ${size} bits`);
}

interface Names {
  readonly commonName: string | undefined;
  readonly dns: readonly string[];
  readonly uris: readonly string[];
  readonly via: string;
  readonly publicKey: x509.PublicKeyType;
}

async function certify(
  authority: CertificateAuthority,
  given: VaultRole,
  body: Record<string, unknown>,
  { commonName, dns, uris, via, publicKey }: Names,
): Promise<{ data: object }> {
  if (commonName === undefined && given.require_cn) {
    throw new Refused(
      400,
      'the common_name field is required, or must be provided in a CSR with "use_csr_common_name" set to true, unless "require_cn" is set to false',
    );
  }
  const allowed = (name: string): boolean =>
    given.allow_any_name ||
    given.allowed_domains.some((domain) => name === domain || (given.allow_subdomains && name.endsWith(`.${domain}`)));
  if (commonName !== undefined && !allowed(commonName))
    throw new Refused(400, `common name ${commonName} not allowed by this role`);
  const bad = dns.find((name) => !allowed(name));
  if (bad !== undefined) throw new Refused(400, `subject alternate name ${bad} not allowed by this role`);
  if (uris.length > 0 && given.allowed_uri_sans.length === 0) {
    throw new Refused(400, `URI Subject Alternative Names are not allowed in this role, but were provided via ${via}`);
  }
  const matches = (uri: string): boolean =>
    given.allowed_uri_sans.some((glob) => (glob.endsWith('*') ? uri.startsWith(glob.slice(0, -1)) : uri === glob));
  if (!uris.every(matches)) {
    throw new Refused(400, `URI Subject Alternative Names were provided via ${via} which are not valid for this role`);
  }
  const asked = seconds(body['ttl']);
  const notAfter = Math.min(Date.now() + Math.min(asked ?? given.ttl, given.max_ttl) * 1000, authority.notAfter);
  const { serverAuth, clientAuth } = x509.ExtendedKeyUsage;
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: randomSerial(),
    subject: commonName === undefined ? [] : [{ CN: [commonName] }],
    issuer: authority.issuer.subjectName,
    notBefore: new Date(Date.now() - 30_000),
    notAfter: new Date(notAfter),
    signingAlgorithm: authority.signing.algorithm,
    publicKey,
    signingKey: authority.signing.key,
    extensions: [
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([
        ...(given.server_flag ? [serverAuth] : []),
        ...(given.client_flag ? [clientAuth] : []),
      ]),
      new x509.SubjectAlternativeNameExtension([
        ...uris.map((value) => ({ type: 'url' as const, value })),
        ...dns.map((value) => ({ type: 'dns' as const, value })),
      ]),
    ],
  });
  const chain = authority.certificatePem.match(/-----BEGIN[^-]+-----[^-]+-----END[^-]+-----/g) ?? [];
  return {
    data: {
      certificate: certificate.toString('pem'),
      issuing_ca: chain[0],
      ca_chain: chain,
      serial_number: new X509Certificate(certificate.toString('pem')).serialNumber,
      expiration: Math.floor(notAfter / 1000),
    },
  };
}

/** Vault reads `90`, `90s`, `2m` and `1h`. */
function seconds(ttl: unknown): number | undefined {
  const [, count, unit = 's'] = /^(\d+)([smh]?)$/.exec(typeof ttl === 'string' ? ttl : '') ?? [];
  return count === undefined ? undefined : Number(count) * ({ s: 1, m: 60, h: 3600 }[unit || 's'] ?? 1);
}
