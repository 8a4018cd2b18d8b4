/** The injector as the process that the image runs (`webhook/main.ts`), on a loopback address of its own. */
import 'reflect-metadata';
import * as x509 from '@peculiar/x509';
import { spawn } from 'node:child_process';
import { randomInt, webcrypto } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually } from '#test/support/eventually.ts';

export interface InjectorProcess {
  readonly pid: number;
  /** Its ports are 9090 (webhooks) and 9091 (health), like everywhere. */
  readonly address: string;
  /** PEM, what the webhooks' certificate is verified by; empty when it was given one. */
  readonly authority: string;
  /** Everything that it has logged, a JSON object a line. */
  readonly log: () => string;
  /** Resolves when `/health/ready` answers 200. */
  readonly ready: () => Promise<void>;
  /** Sends the signal and resolves with the exit code, null when the signal ended it. */
  readonly end: (signal: 'SIGTERM' | 'SIGKILL') => Promise<number | null>;
}

export interface InjectorProcessOptions {
  readonly kubeconfigPath: string;
  /** The core that it is kept on; any when left out. */
  readonly core?: number;
  /** Flags of Node, such as `--cpu-prof`. */
  readonly nodeFlags?: readonly string[];
  readonly logLevel?: string;
  /** Where its certificate is, and will be renewed; a new one that is its own authority when left out. */
  readonly tlsDirectory?: string;
}

/** Rejects when it ends before it listens. The kernel kills it when this process is gone, however that happened. */
export async function startInjectorProcess(options: InjectorProcessOptions): Promise<InjectorProcess> {
  const directory = await mkdtemp(join(tmpdir(), 'osm-injector-'));
  // Ports are fixed and the machine is shared: the address is what differs.
  const address = `127.${randomInt(1, 255)}.${randomInt(256)}.${randomInt(1, 255)}`;
  const authority = options.tlsDirectory === undefined ? await writePair(directory, address) : '';
  const program = [process.execPath, ...(options.nodeFlags ?? []), 'webhook/main.ts'];
  const pinned = options.core === undefined ? program : ['taskset', '-c', String(options.core), ...program];
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', ...pinned], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      PATH: process.env['PATH'],
      KUBECONFIG: options.kubeconfigPath,
      OSM_NAMESPACE: 'osm-system',
      OSM_IMAGE: 'openservicemesh/osm:test',
      OSM_LOG_LEVEL: options.logLevel ?? 'info',
      OSM_TLS_DIR: options.tlsDirectory ?? directory,
      OSM_LISTEN_ADDRESS: address,
    },
  });
  let log = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (log += chunk.toString()));
  const exited = once(child, 'exit') as Promise<[number | null]>;
  const status = async () => (await fetch(`http://${address}:9091/health/ready`)).status;
  const seen = async (what: string, look: () => Promise<boolean>) =>
    eventually(`the injector ${what}`, look, { everyMs: 50, deadlineMs: 30_000, state: async () => log.slice(-2000) });
  const injector: InjectorProcess = {
    pid: child.pid ?? 0,
    address,
    authority,
    log: () => log,
    async ready() {
      await seen('is ready', async () => (await status()) === 200);
    },
    async end(signal) {
      child.kill(signal);
      const [code] = await exited;
      await rm(directory, { recursive: true, force: true });
      return code;
    },
  };
  const early = exited.then(([code]) => {
    throw new Error(`the injector ended with ${code}:\n${log.slice(-2000)}`);
  });
  // Nobody asks any more when it ends later.
  early.catch(() => undefined);
  await Promise.race([seen('listens', async () => log.includes('webhooks are served')), early]);
  return injector;
}

/** Writes a new self-signed pair for the address, as the mounted Secret would hold it; returns the certificate's PEM. */
export async function writePair(directory: string, address: string): Promise<string> {
  const keys = await webcrypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, true, ['sign', 'verify']);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    keys,
    name: 'CN=osm-injector',
    notBefore: new Date(Date.now() - 60_000),
    notAfter: new Date(Date.now() + 3_600_000),
    signingAlgorithm: { name: 'ECDSA', hash: 'SHA-256' },
    extensions: [
      new x509.BasicConstraintsExtension(true),
      new x509.SubjectAlternativeNameExtension([{ type: 'ip', value: address }]),
    ],
  });
  const key = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey)).toString('base64');
  const pem = certificate.toString('pem');
  await writeFile(join(directory, 'tls.crt'), pem);
  await writeFile(join(directory, 'tls.key'), `-----BEGIN PRIVATE KEY-----\n${key}\n-----END PRIVATE KEY-----\n`);
  return pem;
}
