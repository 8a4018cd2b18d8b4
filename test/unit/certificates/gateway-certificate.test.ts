/** What is decided about an ingress gateway's certificate from its Secret alone, and what that certificate is. */
import assert from 'node:assert/strict';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { type CertificateAuthority, createAuthority } from '#certificates/ca.ts';
import {
  decideGateway,
  type GatewaySecret,
  gatewaySecret,
  type GatewayWanted,
  withTrust,
} from '#certificates/gateway-certificate.ts';
import { ecdsa } from '#certificates/keys.ts';
import { issueServing, issueWorkload } from '#certificates/leaf.ts';
import { mergeRoots } from '#certificates/pem.ts';
import { createBuiltinProvider } from '#certificates/providers/builtin.ts';
import { intermediateOf } from '#test/support/authorities.ts';

const now = Date.now();
const hour = 3_600_000;
const names = ['gateway.example.com', 'other.example.com', '*.wild.example.com'] as const;

describe('the certificate of an ingress gateway', () => {
  let one: CertificateAuthority;
  let two: CertificateAuthority;
  let wanted: GatewayWanted;
  let secret: GatewaySecret;

  before(async () => {
    one = await createAuthority({ now });
    two = await intermediateOf(await createAuthority({ now, commonName: 'two' }), 'lower');
    wanted = {
      secret: { namespace: 'edge', name: 'osm-gateway' },
      meshName: 'osm',
      dnsNames: names,
      lifetimeMs: 24 * hour,
      signer: { id: 'builtin one', rootsPem: one.rootsPem },
      trustPem: one.rootsPem,
    };
    secret = await made(wanted, one);
  });

  async function made(by: GatewayWanted, authority: CertificateAuthority): Promise<GatewaySecret> {
    const { dnsNames, lifetimeMs } = by;
    const provider = createBuiltinProvider(authority, () => now);
    const { certificate } = await provider.issueNamed(dnsNames, { trustDomain: 'd', lifetimeMs, keyType: ecdsa });
    return gatewaySecret(by, certificate);
  }
  const textOf = ({ data }: GatewaySecret, key: string): string => Buffer.from(data?.[key] ?? '', 'base64').toString();
  const holding = (data: Readonly<Record<string, string>>): GatewaySecret => {
    const encoded = Object.entries(data).map(([key, text]) => [key, Buffer.from(text).toString('base64')] as const);
    return { ...secret, data: { ...secret.data, ...Object.fromEntries(encoded) } };
  };
  const decided = (stored: GatewaySecret | undefined, changes: Partial<GatewayWanted> = {}, at = now): string[] => {
    const { key, action } = decideGateway(stored, { ...wanted, ...changes }, at);
    return [key, action];
  };

  it('carries every name, is for both ends of a connection, and names no workload', () => {
    const leaf = new X509Certificate(textOf(secret, 'tls.crt'));
    assert.equal(leaf.subjectAltName, names.map((name) => `DNS:${name}`).join(', '));
    assert.equal(leaf.subject, 'O=Open Service Mesh\nCN=gateway.example.com');
    assert.deepEqual(leaf.keyUsage, ['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2']);
    assert.equal(leaf.ca, false);
    assert.ok(leaf.verify(new X509Certificate(textOf(secret, 'ca.crt')).publicKey));
    assert.ok(leaf.checkPrivateKey(createPrivateKey(textOf(secret, 'tls.key'))));
    assert.equal(secret.type, 'kubernetes.io/tls');
  });

  it('is left alone while it is right, whoever looks, and in whichever order the names are written', () => {
    assert.deepEqual(decided(secret), ['ok', 'none']);
    const { notAfter } = decideGateway(secret, wanted, now);
    assert.ok(Math.abs((notAfter ?? 0) - (now + 24 * hour)) < 1_000);
    const [first, ...others] = names;
    assert.deepEqual(decided(secret, { dnsNames: ['other.example.com', first, ...others.slice(1)] }), ['ok', 'none']);
  });

  it('is made when there is none, and again for other names, another signer, another lifetime', () => {
    assert.deepEqual(decided(undefined), ['missing', 'issue']);
    assert.deepEqual(decided(secret, { dnsNames: ['gateway.example.com'] }), ['names-differ', 'issue']);
    assert.deepEqual(decided(secret, { dnsNames: [...names, 'more.example.com'] }), ['names-differ', 'issue']);
    assert.deepEqual(decided(secret, { signer: { ...wanted.signer, id: 'vault' } }), ['signer-differs', 'issue']);
    assert.deepEqual(decided(secret, { lifetimeMs: hour }), ['lifetime-differs', 'issue']);
  });

  it('is due once, at a time between 56 and 67 percent of its life, and expired at its end', () => {
    const at = (share: number): string[] => decided(secret, {}, now + share * 24 * hour);
    assert.deepEqual(at(0.56), ['ok', 'none']);
    assert.deepEqual(at(0.67), ['due', 'issue']);
    assert.deepEqual(at(1), ['expired', 'issue']);
    const shares = Array.from({ length: 110 }, (_, index) => 0.56 + index / 1_000);
    assert.equal(new Set(shares.map((share) => at(share)[0])).size, 2);
    assert.deepEqual(decided(secret, {}, now - hour), ['due', 'issue'], 'a clock that was set back');
  });

  it('falls due at different times', async () => {
    const others = await Promise.all(Array.from({ length: 20 }, () => made(wanted, one)));
    const due = others.filter((each) => decided(each, {}, now + 0.615 * 24 * hour)[0] === 'due').length;
    assert.ok(due > 0 && due < 20, `${due} of 20 are due in the middle`);
  });

  it('that somebody edited is made anew', async () => {
    assert.deepEqual(decided(holding({ 'tls.crt': 'no certificate' })), ['unreadable', 'issue']);
    assert.deepEqual(decided(holding({ 'tls.key': '' })), ['unreadable', 'issue']);
    const other = await made(wanted, one);
    assert.deepEqual(decided(holding({ 'tls.key': textOf(other, 'tls.key') })), ['unreadable', 'issue']);

    const stranger = await createAuthority({ now });
    const forged = await issueServing(stranger, names, { now, lifetimeMs: 24 * hour });
    const { chainPem, privateKey } = forged;
    const put = holding({ 'tls.crt': chainPem, 'tls.key': privateKey.revealText() });
    assert.deepEqual(decided(put), ['signer-differs', 'issue'], 'whatever the annotations say');

    const workload = await issueWorkload(one, { namespace: 'n', name: 'a' }, 'd', { now, lifetimeMs: 24 * hour });
    const passing = holding({ 'tls.crt': workload.chainPem, 'tls.key': workload.privateKey.revealText() });
    assert.deepEqual(decided(passing, { dnsNames: ['a.n.d'] }), ['names-differ', 'issue'], 'a URI is a name too many');
  });

  it('of somebody else is left alone', () => {
    const { labels: _, ...metadata } = secret.metadata;
    const foreign = decideGateway({ ...secret, metadata }, wanted, now);
    assert.deepEqual([foreign.key, foreign.action], ['not-ours', 'refuse']);
    assert.match(foreign.message, /^Secret edge\/osm-gateway was not made by this mesh .*: delete it, or name another/);
    const { 'app.kubernetes.io/managed-by': __, ...others } = secret.metadata.labels ?? {};
    const operators = { ...secret, metadata: { ...metadata, labels: others } };
    assert.deepEqual(decided(operators), ['not-ours', 'refuse'], 'such as the control plane serves from');
    assert.deepEqual(decided(secret, { meshName: 'other' }), ['not-ours', 'refuse']);
    assert.deepEqual(decided({ ...secret, type: 'Opaque' }), ['not-ours', 'refuse']);
  });

  it('keeps its pair when trust changes alone', () => {
    const trustPem = mergeRoots([one.rootsPem, two.rootsPem], now);
    assert.deepEqual(decided(secret, { trustPem }), ['trust-differs', 'trust']);
    const widened = withTrust({ ...secret, data: { ...secret.data, more: 'bW9yZQ==' } }, { ...wanted, trustPem });
    assert.deepEqual(Object.keys(widened.data ?? {}).toSorted(), ['ca.crt', 'tls.crt', 'tls.key'], 'nothing of others');
    assert.equal(textOf(widened, 'tls.key'), textOf(secret, 'tls.key'));
    assert.deepEqual(decided(widened, { trustPem }), ['ok', 'none']);
    assert.deepEqual(decided(widened), ['trust-differs', 'trust'], 'and back');
    assert.deepEqual(decided(holding({ 'ca.crt': 'edited' })), ['trust-differs', 'trust']);
  });

  it('says that trust is to be written too where a certificate is to be made', () => {
    const trustPem = mergeRoots([one.rootsPem, two.rootsPem], now);
    const next = { ...wanted, trustPem, signer: { id: 'vault', rootsPem: two.rootsPem } };
    const decision = decideGateway(secret, next, now);
    assert.deepEqual([decision.key, decision.trusts], ['signer-differs', false]);
    const widened = withTrust(secret, next);
    assert.deepEqual([decideGateway(widened, next, now).key], ['signer-differs'], 'it is still the former signer’s');
  });

  it('is followed through an intermediate up to the root', async () => {
    const by = { ...wanted, signer: { id: 'vault', rootsPem: two.rootsPem }, trustPem: two.rootsPem };
    assert.deepEqual(decided(await made(by, two), by), ['ok', 'none']);
  });

  it('shows its key to nobody who prints what was decided', () => {
    const broken = holding({ 'tls.crt': 'no certificate' });
    const printed = [secret, broken].map((each) => JSON.stringify(decideGateway(each, wanted, now))).join();
    for (const line of textOf(secret, 'tls.key').split('\n')) {
      if (line !== '') assert.ok(!printed.includes(line));
    }
  });
});
