// The x509 package builds on decorators, whose metadata store has to be there before it is loaded.
import 'reflect-metadata';
import { createPublicKey, webcrypto } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  PemConverter,
  SubjectAlternativeNameExtension,
  type X509Certificate,
  X509CertificateGenerator,
} from '@peculiar/x509';
import { ADDRESSES, CLUSTER_DOMAIN, kubeconfigOf, type Layout, NODE_NAME } from './layout.ts';

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
const VALID_YEARS = 10;

type San = { readonly type: 'dns' | 'ip'; readonly value: string };

/** Certificates of the cluster: file name → subject and names. Each is good for both ends of a connection. */
const CERTIFICATES: readonly { readonly file: string; readonly subject: string; readonly names: readonly San[] }[] = [
  {
    file: 'apiserver',
    subject: 'CN=kube-apiserver',
    names: [
      ...['localhost', 'kubernetes', 'kubernetes.default', 'kubernetes.default.svc'].map(dns),
      dns(`kubernetes.default.svc.${CLUSTER_DOMAIN}`),
      ...['127.0.0.1', '::1', ...ADDRESSES.api, ...ADDRESSES.node].map(ip),
    ],
  },
  {
    file: 'kubelet',
    subject: `O=system:nodes, CN=system:node:${NODE_NAME}`,
    names: [dns(NODE_NAME), ...ADDRESSES.node.map(ip)],
  },
  { file: 'admin', subject: 'O=system:masters, CN=admin', names: [] },
  { file: 'controller-manager', subject: 'CN=system:kube-controller-manager', names: [] },
  { file: 'scheduler', subject: 'CN=system:kube-scheduler', names: [] },
  { file: 'kube-proxy', subject: 'CN=system:kube-proxy', names: [] },
  { file: 'front-proxy', subject: 'CN=front-proxy-client', names: [] },
];

/** Those of CERTIFICATES whose holders call the API server, each by a kubeconfig of that name. */
const USERS = ['admin', 'kubelet', 'controller-manager', 'scheduler', 'kube-proxy'];

/**
 * Makes the cluster's keys, certificates and kubeconfigs, unless they are there. The folder appears whole or not at all,
 * so that an interrupted `up` leaves no certificate of a CA that was lost.
 */
export async function ensurePki(layout: Layout): Promise<void> {
  if (!existsSync(layout.pki)) await makePki(layout);
  for (const user of USERS)
    await writeFile(kubeconfigOf(layout, user), await kubeconfig(layout, user), { mode: 0o600 });
}

async function makePki(layout: Layout): Promise<void> {
  const unfinished = `${layout.pki}.unfinished`;
  await rm(unfinished, { recursive: true, force: true });
  await mkdir(unfinished, { recursive: true, mode: 0o700 });
  const write = (file: string, text: string): Promise<void> => writeFile(join(unfinished, file), text, { mode: 0o600 });

  const caKeys = await generateKeys();
  const ca = await X509CertificateGenerator.createSelfSigned({
    serialNumber: serial(),
    name: 'CN=osm-test-cluster-ca',
    ...validity(),
    keys: caKeys,
    signingAlgorithm: ALGORITHM,
    extensions: [
      new BasicConstraintsExtension(true, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign | KeyUsageFlags.digitalSignature, true),
    ],
  });
  await write('ca.crt', ca.toString('pem'));
  await write('ca.key', await privatePem(caKeys));

  const account = await privatePem(await generateKeys());
  await write('sa.key', account);
  await write('sa.pub', createPublicKey(account).export({ type: 'spki', format: 'pem' }).toString());

  for (const { file, subject, names } of CERTIFICATES) {
    const keys = await generateKeys();
    await write(`${file}.crt`, (await issue(ca, caKeys, keys, { subject, names })).toString('pem'));
    await write(`${file}.key`, await privatePem(keys));
  }
  await rename(unfinished, layout.pki);
}

function issue(
  ca: X509Certificate,
  caKeys: webcrypto.CryptoKeyPair,
  keys: webcrypto.CryptoKeyPair,
  wanted: { readonly subject: string; readonly names: readonly San[] },
): Promise<X509Certificate> {
  const { serverAuth, clientAuth } = ExtendedKeyUsage;
  return X509CertificateGenerator.create({
    serialNumber: serial(),
    subject: wanted.subject,
    issuer: ca.subject,
    ...validity(),
    publicKey: keys.publicKey,
    signingKey: caKeys.privateKey,
    signingAlgorithm: ALGORITHM,
    extensions: [
      new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
      new ExtendedKeyUsageExtension([serverAuth, clientAuth]),
      ...(wanted.names.length > 0 ? [new SubjectAlternativeNameExtension([...wanted.names])] : []),
    ],
  });
}

/** A kubeconfig with everything inside, for the API server on the namespace's loopback. JSON, which YAML contains. */
async function kubeconfig(layout: Layout, user: string): Promise<string> {
  const data = async (file: string): Promise<string> => (await readFile(join(layout.pki, file))).toString('base64');
  return `${JSON.stringify(
    {
      apiVersion: 'v1',
      kind: 'Config',
      clusters: [
        {
          name: layout.name,
          cluster: { server: 'https://127.0.0.1:6443', 'certificate-authority-data': await data('ca.crt') },
        },
      ],
      users: [
        {
          name: user,
          user: {
            'client-certificate-data': await data(`${user}.crt`),
            'client-key-data': await data(`${user}.key`),
          },
        },
      ],
      contexts: [{ name: layout.name, context: { cluster: layout.name, user } }],
      'current-context': layout.name,
    },
    null,
    2,
  )}\n`;
}

function generateKeys(): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']) as Promise<webcrypto.CryptoKeyPair>;
}

async function privatePem(keys: webcrypto.CryptoKeyPair): Promise<string> {
  return `${PemConverter.encode(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey), 'PRIVATE KEY')}\n`;
}

function validity(): { notBefore: Date; notAfter: Date } {
  const notBefore = new Date(Date.now() - 3_600_000); // an hour back, for a clock that is set right after a boot
  const notAfter = new Date(notBefore);
  notAfter.setUTCFullYear(notAfter.getUTCFullYear() + VALID_YEARS);
  return { notBefore, notAfter };
}

function serial(): string {
  return Buffer.from(webcrypto.getRandomValues(new Uint8Array(16))).toString('hex');
}

function dns(value: string): San {
  return { type: 'dns', value };
}

function ip(value: string): San {
  return { type: 'ip', value };
}
