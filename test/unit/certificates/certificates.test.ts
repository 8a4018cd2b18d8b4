import assert from 'node:assert/strict';
import { createPrivateKey, createPublicKey, generateKeyPairSync, webcrypto, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { connect, createServer } from 'node:tls';
import { type CertificateAuthority, createAuthority, parseAuthority } from '#certificates/ca.ts';
import { CertificateError, type CertificateReason } from '#certificates/error.ts';
import { ecdsa, randomSerial } from '#certificates/keys.ts';
import { issueServing, issueWorkload } from '#certificates/leaf.ts';
import { createBuiltinProvider } from '#certificates/providers/builtin.ts';
import { SecretBytes } from '#certificates/secret-bytes.ts';
import * as x509 from '#certificates/x509.ts';

const now = Date.now();
const hour = 3_600_000;
const account = { namespace: 'bookstore', name: 'book.buyer' };

const refusedFor = (reason: CertificateReason, words: RegExp) => (error: unknown) => {
  assert.ok(error instanceof CertificateError, String(error));
  assert.equal(error.reason, reason);
  assert.match(error.message, words);
  return true;
};

describe('the root that we make', () => {
  it('is an ECDSA P-256 authority of ten years with the names of old', async () => {
    const authority = await createAuthority({ now });
    const root = new X509Certificate(authority.rootsPem);
    assert.equal(root.subject, 'O=Open Service Mesh\nCN=osm-ca.openservicemesh.io');
    assert.equal(root.ca, true);
    assert.equal(root.publicKey.asymmetricKeyDetails?.namedCurve, 'prime256v1');
    assert.ok(root.verify(root.publicKey));
    const years = (authority.notAfter - now) / (365 * 24 * hour);
    assert.ok(Math.abs(years - 10) < 0.001);
    assert.ok(root.validFromDate.getTime() < now);
    assert.equal(authority.intermediatesPem, '');
  });

  it('comes back from its PEM as it was', async () => {
    const made = await createAuthority({ now });
    const read = await parseAuthority(made.certificatePem, new SecretBytes(made.privateKey.reveal()), now);
    assert.equal(read.fingerprint, made.fingerprint);
    const leaf = await issueWorkload(read, account, 'cluster.local', { now, lifetimeMs: hour });
    assert.ok(new X509Certificate(leaf.chainPem).verify(new X509Certificate(made.rootsPem).publicKey));
  });
});

describe('an authority of the user', () => {
  it('may be RSA or EC, its key in any PEM form', async () => {
    const forms = [
      { key: generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey, type: 'pkcs1' },
      { key: generateKeyPairSync('ec', { namedCurve: 'P-384' }).privateKey, type: 'sec1' },
      { key: generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey, type: 'pkcs8' },
    ] as const;
    for (const { key, type } of forms) {
      const keyPem = key.export({ type, format: 'pem' }).toString();
      const own = await certify({ key });
      const authority = await parseAuthority(own, new SecretBytes(keyPem), now);
      const leaf = await issueWorkload(authority, account, 'cluster.local', { now, lifetimeMs: hour });
      const certificate = new X509Certificate(leaf.chainPem);
      assert.ok(certificate.verify(new X509Certificate(authority.rootsPem).publicKey), type);
      assert.equal(
        certificate.publicKey.asymmetricKeyDetails?.namedCurve,
        'prime256v1',
        'leaves are P-256 all the same',
      );
    }
  });

  it('may be an intermediate: its chain goes behind each leaf, its root alone is trusted, and TLS accepts that', async () => {
    const root = await createAuthority({ now, commonName: 'the company' });
    const key = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
    const intermediate = await certify({ key, by: root });
    const keyPem = new SecretBytes(key.export({ type: 'pkcs8', format: 'pem' }).toString());
    const authority = await parseAuthority(intermediate + root.rootsPem, keyPem, now);
    assert.equal(new X509Certificate(authority.rootsPem).subject, 'O=Open Service Mesh\nCN=the company');
    await handshake(authority);
    await assert.rejects(
      parseAuthority(root.rootsPem + intermediate, root.privateKey, now),
      refusedFor('ca-chain-broken', /certificate 1 is not issued by certificate 2/),
    );
  });

  it('is refused in words when it cannot issue', async () => {
    const authority = await createAuthority({ now });
    const other = await createAuthority({ now });
    const { privateKey } = authority;
    const refused = (
      pem: string,
      key: SecretBytes,
      reason: CertificateReason,
      words: RegExp,
      at = now,
    ): Promise<void> => assert.rejects(parseAuthority(pem, key, at), refusedFor(reason, words));
    await refused('no PEM', privateKey, 'ca-unreadable', /no PEM certificate/);
    await refused(authority.certificatePem.replace('MIIB', 'AAAA'), privateKey, 'ca-unreadable', /cannot be parsed/);
    await refused(authority.certificatePem, other.privateKey, 'ca-key-mismatch', /not that of the certificate/);
    await refused(
      authority.certificatePem,
      new SecretBytes('secret words'),
      'ca-key-unreadable',
      /unencrypted PEM key/,
    );
    await refused(authority.certificatePem, privateKey, 'ca-expired', /expired on/, now + 11 * 365 * 24 * hour);
    await refused(authority.certificatePem, privateKey, 'ca-not-yet-valid', /valid only from/, now - 24 * hour);
    const leaf = await issueWorkload(authority, account, 'cluster.local', { now, lifetimeMs: hour });
    await refused(leaf.chainPem, leaf.privateKey, 'ca-not-an-authority', /may not issue others/);
    const edwards = generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
    await refused(authority.certificatePem, new SecretBytes(edwards), 'ca-key-unsupported', /ed25519.*use RSA/);
    const weak = generateKeyPairSync('rsa', { modulusLength: 1024 }).privateKey.export({
      type: 'pkcs1',
      format: 'pem',
    });
    await refused(authority.certificatePem, new SecretBytes(weak.toString()), 'ca-key-unsupported', /rsa 1024/);
  });
});

describe('a workload certificate', () => {
  let authority: CertificateAuthority;
  before(async () => {
    authority = await createAuthority({ now });
  });

  it('carries the identity as URI and DNS name, and may be used by both sides', async () => {
    const leaf = await issueWorkload(authority, account, 'cluster.local', { now, lifetimeMs: hour });
    const parsed = new X509Certificate(leaf.chainPem);
    assert.equal(
      parsed.subjectAltName,
      'URI:spiffe://cluster.local/ns/bookstore/sa/book.buyer, DNS:book.buyer.bookstore.cluster.local',
    );
    assert.equal(parsed.subject, 'O=Open Service Mesh\nCN=book.buyer.bookstore.cluster.local');
    assert.deepEqual(parsed.keyUsage, ['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2']);
    assert.equal(parsed.ca, false);
    assert.ok(parsed.checkPrivateKey(createPrivateKey(leaf.privateKey.revealText())));
    assert.equal(parsed.fingerprint256.replaceAll(':', '').toLowerCase(), leaf.fingerprint);
    assert.equal(parsed.serialNumber.toLowerCase(), leaf.serial);
    assert.equal(leaf.trustDomain, 'cluster.local');
  });

  it('has no common name where that would be longer than 64', async () => {
    const long = { namespace: 'n'.repeat(40), name: 'a'.repeat(40) };
    const leaf = await issueWorkload(authority, long, 'cluster.local', { now, lifetimeMs: hour });
    const parsed = new X509Certificate(leaf.chainPem);
    assert.equal(parsed.subject, 'O=Open Service Mesh');
    assert.match(parsed.subjectAltName ?? '', /spiffe:.*, DNS:a{40}\./);
  });

  it('lives as long as asked, down to a minute, from a little before now, and never longer than its authority', async () => {
    const minute = await issueWorkload(authority, account, 't', { now, lifetimeMs: 60_000 });
    const parsed = new X509Certificate(minute.chainPem);
    assert.equal(parsed.validToDate.getTime(), minute.notAfter);
    assert.equal(parsed.validFromDate.getTime(), minute.notBefore);
    assert.ok(Math.abs(minute.notAfter - (now + 60_000)) <= 1_000);
    assert.ok(Math.abs(minute.notBefore - (now - 60_000)) <= 1_000);
    const dying = await createAuthority({ now, lifetimeMs: hour });
    const cut = await issueWorkload(dying, account, 't', { now, lifetimeMs: 24 * hour });
    assert.equal(cut.notAfter, dying.notAfter);
  });

  it('has a serial number of 128 random bits that DER keeps as it is', () => {
    const serials = Array.from({ length: 500 }, randomSerial);
    assert.equal(new Set(serials).size, 500);
    for (const serial of serials) assert.match(serial, /^01[0-9a-f]{32}$/);
  });

  it('comes from the built-in provider with the lifetime that is asked for', async () => {
    const provider = createBuiltinProvider(authority, () => now);
    const issue = (lifetimeMs: number) => provider.issue(account, { trustDomain: 'd', lifetimeMs, keyType: ecdsa });
    const [first, second] = await Promise.all([issue(hour), issue(60_000)]);
    assert.equal(first.certificate.notAfter - second.certificate.notAfter, hour - 60_000);
    assert.equal(first.rootPem, authority.rootsPem);
    assert.equal(await provider.publishedRoots(), authority.rootsPem);
  });

  it('holds an RSA key of the size asked for, which may decrypt too', async () => {
    const keyType = { kind: 'rsa', bits: 3072 } as const;
    const { chainPem, privateKey } = await issueWorkload(authority, account, 't', { now, lifetimeMs: hour, keyType });
    const parsed = new X509Certificate(chainPem);
    assert.equal(parsed.publicKey.asymmetricKeyDetails?.modulusLength, 3072);
    assert.ok(parsed.checkPrivateKey(createPrivateKey(privateKey.revealText())));
  });
});

describe('a serving certificate', () => {
  it('is accepted for its names by who trusts its authority', async () => {
    await handshake(await createAuthority({ now }));
  });
});

/** A CA certificate for a key, by itself or by another authority. */
async function certify({
  key,
  by,
}: {
  key: ReturnType<typeof createPrivateKey>;
  by?: CertificateAuthority;
}): Promise<string> {
  const rsa = key.asymmetricKeyType === 'rsa';
  const namedCurve = key.asymmetricKeyDetails?.namedCurve === 'secp384r1' ? 'P-384' : 'P-256';
  const algorithm = rsa
    ? { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' }
    : { name: 'ECDSA', namedCurve, hash: 'SHA-256' };
  const pkcs8 = new Uint8Array(key.export({ type: 'pkcs8', format: 'der' }));
  const privateKey = await webcrypto.subtle.importKey('pkcs8', pkcs8, algorithm, true, ['sign']);
  const publicKey = await new x509.PublicKey(new Uint8Array(createPublicSpki(key))).export(algorithm, ['verify']);
  const subject = 'CN=of the user';
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: randomSerial(),
    subject,
    issuer: by === undefined ? subject : by.issuer.subject,
    notBefore: new Date(now - hour),
    notAfter: new Date(now + 24 * hour),
    signingAlgorithm: by === undefined ? algorithm : by.signing.algorithm,
    publicKey,
    signingKey: by === undefined ? privateKey : by.signing.key,
    extensions: [new x509.BasicConstraintsExtension(true, undefined, true)],
  });
  return `${certificate.toString('pem')}\n`;
}

function createPublicSpki(key: ReturnType<typeof createPrivateKey>): Buffer {
  return createPublicKey(key).export({ type: 'spki', format: 'der' });
}

/** A TLS server with a serving certificate of the authority, and a client that trusts its roots alone. */
async function handshake(authority: CertificateAuthority): Promise<void> {
  const names = ['osm-controller.osm-system.svc', 'osm-controller.osm-system.svc.cluster.local'] as const;
  const { chainPem, privateKey } = await issueServing(authority, names, { now, lifetimeMs: hour });
  const server = createServer({ cert: chainPem, key: privateKey.revealText() }, (socket) => socket.end('hello'));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  try {
    const { port } = server.address() as AddressInfo;
    for (const servername of names) {
      const socket = connect({ port, host: '127.0.0.1', ca: authority.rootsPem, servername });
      const [greeting] = (await once(socket, 'data')) as [Buffer];
      assert.equal(greeting.toString(), 'hello');
      socket.destroy();
    }
    const stranger = connect({ port, host: '127.0.0.1', ca: authority.rootsPem, servername: 'elsewhere.svc' });
    const [error] = (await once(stranger, 'error')) as [Error];
    assert.match(error.message, /does not match certificate's altnames/);
  } finally {
    server.close();
    await once(server, 'close');
  }
}
