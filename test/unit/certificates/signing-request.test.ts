/** What we ask a provider outside for, and what we take from it. */
import assert from 'node:assert/strict';
import { createPrivateKey, createPublicKey, webcrypto } from 'node:crypto';
import { accept, type Asked } from '#certificates/accept.ts';
import { backdateMs, type CertificateAuthority, createAuthority } from '#certificates/ca.ts';
import { createSigningRequest, type SigningRequest } from '#certificates/csr.ts';
import { CertificateError } from '#certificates/error.ts';
import { ecdsa, ecdsaP256, type KeyType, randomSerial } from '#certificates/keys.ts';
import { dnsNamesAlone, workloadNames } from '#certificates/names.ts';
import { mergeRoots, readCertificates } from '#certificates/pem.ts';
import { covers, mergeTrust, sameTrust } from '#certificates/trust.ts';
import * as x509 from '#certificates/x509.ts';
import { intermediateOf } from '#test/support/authorities.ts';

const now = Date.now();
const hour = 3_600_000;
const account = { namespace: 'bookstore', name: 'book.buyer' };
const uri = 'spiffe://cluster.local/ns/bookstore/sa/book.buyer';
const dns = 'book.buyer.bookstore.cluster.local';

describe('a signing request', () => {
  const types: readonly KeyType[] = [ecdsa, { kind: 'rsa', bits: 2048 }, { kind: 'rsa', bits: 4096 }];
  for (const type of types) {
    it(`names the account in URI, DNS name and subject, with a key of its own (${JSON.stringify(type)})`, async () => {
      const request = await createSigningRequest(workloadNames(account, 'cluster.local'), type);
      const parsed = new x509.Pkcs10CertificateRequest(request.csrPem);
      assert.ok(await parsed.verify());
      assert.equal(parsed.subject, `O=Open Service Mesh, CN=${dns}`);
      const names = parsed.extensions
        .find((each) => each instanceof x509.SubjectAlternativeNameExtension)
        ?.names.toJSON();
      assert.deepEqual(names, [
        { type: 'url', value: uri },
        { type: 'dns', value: dns },
      ]);
      const { serverAuth, clientAuth } = x509.ExtendedKeyUsage;
      const usages = parsed.extensions.find((each) => each instanceof x509.ExtendedKeyUsageExtension)?.usages;
      assert.deepEqual(usages?.toSorted(), [serverAuth, clientAuth].toSorted());
      const key = createPrivateKey(request.privateKey.revealText());
      assert.equal(key.asymmetricKeyType, type.kind === 'rsa' ? 'rsa' : 'ec');
      if (type.kind === 'rsa') assert.equal(key.asymmetricKeyDetails?.modulusLength, type.bits);
      assert.ok(createPublicKey(key).export({ type: 'spki', format: 'der' }).equals(request.publicKey));
      assert.ok(!JSON.stringify(request).includes('PRIVATE'), 'the key is redacted in the type');
    });
  }

  it('leaves out a common name that is longer than 64', async () => {
    const long = { namespace: 'n'.repeat(40), name: 'a'.repeat(40) };
    const { csrPem } = await createSigningRequest(workloadNames(long, 'cluster.local'), ecdsa);
    assert.equal(new x509.Pkcs10CertificateRequest(csrPem).subject, 'O=Open Service Mesh');
  });
});

interface Signed {
  readonly names?: x509.JsonGeneralNames;
  readonly usages?: string[];
  readonly flags?: x509.KeyUsageFlags | undefined;
  readonly from?: number;
  readonly until?: number;
  readonly key?: webcrypto.CryptoKey;
}

async function sign(by: CertificateAuthority, request: SigningRequest, options: Signed = {}): Promise<string> {
  const { serverAuth, clientAuth } = x509.ExtendedKeyUsage;
  const { digitalSignature } = x509.KeyUsageFlags;
  const flags = 'flags' in options ? options.flags : digitalSignature;
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: randomSerial(),
    subject: [],
    issuer: by.issuer.subjectName,
    notBefore: new Date(options.from ?? now - backdateMs),
    notAfter: new Date(options.until ?? now + hour),
    signingAlgorithm: by.signing.algorithm,
    publicKey: options.key ?? (await new x509.Pkcs10CertificateRequest(request.csrPem).publicKey.export()),
    signingKey: by.signing.key,
    extensions: [
      ...(flags === undefined ? [] : [new x509.KeyUsagesExtension(flags, true)]),
      new x509.ExtendedKeyUsageExtension(options.usages ?? [serverAuth, clientAuth]),
      new x509.SubjectAlternativeNameExtension(options.names ?? [{ type: 'url', value: uri }]),
    ],
  });
  return `${certificate.toString('pem')}\n`;
}

describe('a certificate from outside', () => {
  let root: CertificateAuthority;
  let middle: CertificateAuthority;
  let lower: CertificateAuthority;
  let asked: Asked;
  before(async () => {
    root = await createAuthority({ now, commonName: 'root' });
    middle = await intermediateOf(root, 'middle');
    lower = await intermediateOf(middle, 'lower');
    const names = workloadNames(account, 'cluster.local');
    asked = { names, request: await createSigningRequest(names, ecdsa), now };
  });

  const refused = async (options: Signed, words: RegExp): Promise<void> => {
    const certificates = await sign(root, asked.request, options);
    assert.throws(
      () => accept({ certificates, authorities: root.rootsPem }, asked),
      (error) => {
        assert.ok(error instanceof CertificateError);
        assert.equal(error.reason, 'provider-certificate-unusable');
        assert.match(error.message, words);
        return true;
      },
    );
  };

  it('is taken with its key, and its root apart', async () => {
    const { certificate, rootPem } = accept(
      { certificates: await sign(root, asked.request), authorities: root.rootsPem },
      asked,
    );
    assert.equal(rootPem, root.rootsPem);
    assert.equal(readCertificates(certificate.chainPem).length, 1);
    assert.equal(certificate.privateKey, asked.request.privateKey);
    assert.ok(Math.abs(certificate.notAfter - (now + hour)) < 1_000);
    assert.match(certificate.fingerprint, /^[0-9a-f]{64}$/);
    assert.match(certificate.serial, /^[0-9a-f]+$/);
  });

  it('has its chain put in order, whichever way the provider lists it', async () => {
    const leaf = await sign(lower, asked.request);
    const above = [root, middle, lower].map(
      ({ certificatePem }) => certificatePem.split(/(?<=END CERTIFICATE-----\n)/)[0],
    );
    for (const authorities of [above, above.toReversed(), [...above, ...above]]) {
      const { certificate, rootPem } = accept({ certificates: leaf, authorities: authorities.join('\n') }, asked);
      assert.equal(rootPem, root.rootsPem);
      const subjects = readCertificates(certificate.chainPem).map(({ subject }) => subject ?? '');
      assert.deepEqual(subjects.slice(1), ['CN=lower', 'CN=middle']);
    }
  });

  it('is refused where the provider keeps the root back', async () => {
    const leaf = await sign(lower, asked.request);
    const [one = '', two = ''] = lower.certificatePem.split(/(?<=END CERTIFICATE-----\n)/);
    for (const authorities of [one, one + two]) {
      assert.throws(() => accept({ certificates: leaf, authorities }, asked), {
        reason: 'provider-root-unknown',
        message: authorities === one ? /issued by CN=middle/ : /issued by .*CN=root/,
      });
    }
  });

  it('is refused without any authority above it', async () => {
    const certificates = await sign(root, asked.request);
    const other = await createAuthority({ now, commonName: 'another' });
    for (const authorities of ['', other.rootsPem]) {
      assert.throws(() => accept({ certificates, authorities }, asked), { reason: 'provider-root-unknown' });
    }
  });

  it('is refused with other names', async () => {
    const url = (value: string) => ({ type: 'url' as const, value });
    await refused({ names: [url('spiffe://cluster.local/ns/bookstore/sa/thief')] }, /thief/);
    await refused({ names: [url(uri), url('spiffe://cluster.local/ns/bookstore/sa/thief')] }, /thief/);
    await refused({ names: [{ type: 'dns', value: dns }] }, /no URI name/);
  });

  it('of no workload is refused with a URI, and without one of its DNS names', async () => {
    const names = dnsNamesAlone(['one.example.com', 'two.example.com']);
    const gateway = { names, request: await createSigningRequest(names, ecdsa), now };
    const taken = async (carried: x509.JsonGeneralNames) =>
      accept(
        { certificates: await sign(root, gateway.request, { names: carried }), authorities: root.rootsPem },
        gateway,
      );
    const both = names.dns.map((value) => ({ type: 'dns' as const, value }));
    const { certificate } = await taken(both);
    assert.equal(readCertificates(certificate.chainPem)[0]?.subjectAltName, 'DNS:one.example.com, DNS:two.example.com');
    const unusable = { reason: 'provider-certificate-unusable' };
    await assert.rejects(taken([...both, { type: 'url', value: uri }]), {
      ...unusable,
      message: /where peers want none/,
    });
    await assert.rejects(taken(both.slice(0, 1)), { ...unusable, message: /the DNS name two\.example\.com/ });
  });

  it('is refused when it is of no use for both ends, not valid now, or for another key', async () => {
    await refused({ usages: [x509.ExtendedKeyUsage.serverAuth] }, /client auth/);
    await refused({ usages: [x509.ExtendedKeyUsage.clientAuth] }, /server auth/);
    const { digitalSignature, keyCertSign } = x509.KeyUsageFlags;
    for (const flags of [undefined, digitalSignature | keyCertSign, x509.KeyUsageFlags.keyEncipherment]) {
      await refused({ flags }, /digital signature/);
    }
    await refused({ from: now - 2 * hour, until: now - hour }, /expired/);
    await refused({ from: now + hour, until: now + 2 * hour }, /valid only from/);
    const { publicKey } = await webcrypto.subtle.generateKey(ecdsaP256, true, ['sign', 'verify']);
    await refused({ key: publicKey }, /another key/);
  });

  it('is refused when it is none', () => {
    const broken = '-----BEGIN CERTIFICATE-----\nbm8=\n-----END CERTIFICATE-----\n';
    for (const certificates of ['', broken]) {
      assert.throws(() => accept({ certificates, authorities: '' }, asked), {
        reason: 'provider-certificate-unusable',
      });
    }
  });
});

describe('roots', () => {
  it('are merged into the same bytes in any order, each once, without those that expired', async () => {
    const [a, b] = [await createAuthority({ now }), await createAuthority({ now })];
    const old = await createAuthority({ now: now - hour, lifetimeMs: 60_000 + hour });
    const merged = mergeRoots([a.rootsPem, b.rootsPem, old.rootsPem], now);
    assert.equal(merged, mergeRoots([b.rootsPem + a.rootsPem, old.rootsPem, a.rootsPem], now));
    assert.equal(readCertificates(merged).length, 3);
    assert.equal(readCertificates(mergeRoots([merged], now + 2 * hour)).length, 2);
  });

  it('are kept apart by trust domain', async () => {
    const [a, b] = [(await createAuthority({ now })).rootsPem, (await createAuthority({ now })).rootsPem];
    const both = mergeTrust([new Map([['one', a]]), new Map([['two', b]]), new Map([['one', b]])], now);
    assert.deepEqual([...both.keys()], ['one', 'two']);
    assert.ok(covers(both, new Map([['one', a + b]])));
    assert.ok(!covers(both, new Map([['two', a]])));
    assert.ok(!covers(both, new Map([['three', a]])));
    assert.ok(sameTrust(both, mergeTrust([both, new Map([['two', b]])], now)));
    assert.ok(!sameTrust(both, mergeTrust([both, new Map([['two', a]])], now)));
  });
});
