/**
 * A real Kubernetes API (etcd and kube-apiserver, nothing else) on loopback, for integration tests. There is no
 * controller manager: nobody makes default service accounts, endpoints or pods, and nobody collects garbage.
 *
 * The processes die with the one that started them, even when that one is killed (`setpriv --pdeathsig`).
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes, randomInt } from 'node:crypto';
import { once } from 'node:events';
import { openSync, closeSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:https';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { ensureKube } from '#test/cluster/programs.ts';
import { type AccountKeyType, kubeconfig, makeAccountKey, makeAuthority } from './apiserver-pki.ts';

/** A running API server. */
export interface ApiServer {
  /** `https://127.0.0.1:<port>`; the same after a restart. */
  readonly url: string;
  /** Client certificate of a member of `system:masters`. */
  readonly kubeconfigPath: string;
  /** What `createClient` of kubernetes/client.ts takes to be that user. */
  readonly clientOptions: { readonly kubeconfig: string };
  /** PEM private key that signs service-account tokens. */
  readonly serviceAccountKeyPath: string;
  /** The `iss` of those tokens. */
  readonly serviceAccountIssuer: string;
  /** Writes another kubeconfig: for another user (a client certificate is made), or by way of another address (a proxy). */
  kubeconfigFor(options: { user?: string; groups?: readonly string[]; url?: string }): Promise<string>;
  /** Kills kube-apiserver and starts it again on the same port and the same etcd; resolves when it is ready. */
  restart(): Promise<void>;
  /** Signs service-account tokens with a new key from now on, and publishes the former one too. Restarts. */
  rotateServiceAccountKey(type: AccountKeyType): Promise<void>;
  /** Kills kube-apiserver and leaves etcd; `restart` brings it back. */
  kill(): Promise<void>;
  /** Compacts etcd up to its newest revision, so that older resource versions are gone. */
  compact(): Promise<void>;
  stop(): Promise<void>;
}

export interface ApiServerOptions {
  /** More flags for kube-apiserver, e.g. `--watch-cache=false`. */
  readonly flags?: readonly string[];
  /** Leave the ServiceAccount admission plug-in on: pods then need an existing account. Off by default. */
  readonly serviceAccountAdmission?: boolean;
  /** P-256 by default. */
  readonly serviceAccountKey?: AccountKeyType;
}

const issuer = 'https://kubernetes.default.svc.cluster.local';
const startDeadlineMs = 60_000;

export async function startApiServer(options: ApiServerOptions = {}): Promise<ApiServer> {
  const program = await ensureKube();
  const directory = await mkdtemp(join(tmpdir(), 'osm-apiserver-'));
  const file = (name: string): string => join(directory, name);
  const authority = await makeAuthority();
  const [port, etcdPort, peerPort] = [await freePort(), await freePort(), await freePort()];
  const url = `https://127.0.0.1:${port}`;
  const etcdUrl = `http://127.0.0.1:${etcdPort}`;

  const publicKeys: string[] = [];
  const useAccountKey = async (type: AccountKeyType): Promise<void> => {
    const { privatePem, publicPem } = makeAccountKey(type);
    publicKeys.push(file(`sa-${publicKeys.length}.pub`));
    await writeFile(file('sa.key'), privatePem, { mode: 0o600 });
    await writeFile(publicKeys.at(-1)!, publicPem);
  };
  const serving = await authority.issue('kube-apiserver', []);
  await Promise.all([
    writeFile(file('ca.crt'), authority.certificate),
    writeFile(file('tls.crt'), serving.certificate),
    writeFile(file('tls.key'), serving.key, { mode: 0o600 }),
    useAccountKey(options.serviceAccountKey ?? 'P-256'),
  ]);

  const kubeconfigFor: ApiServer['kubeconfigFor'] = async (wanted) => {
    const user = await authority.issue(
      wanted.user ?? 'admin',
      wanted.groups ?? (wanted.user ? [] : ['system:masters']),
    );
    const path = file(`${randomBytes(6).toString('hex')}.kubeconfig`);
    await writeFile(path, kubeconfig(wanted.url ?? url, authority.certificate, user), { mode: 0o600 });
    return path;
  };
  const kubeconfigPath = await kubeconfigFor({});

  const etcd = startProcess(program, file('etcd.log'), [
    'etcd',
    `--data-dir=${file('etcd')}`,
    '--unsafe-no-fsync',
    `--listen-client-urls=${etcdUrl}`,
    `--advertise-client-urls=${etcdUrl}`,
    `--listen-peer-urls=http://127.0.0.1:${peerPort}`,
  ]);
  const startServer = (): Process =>
    startProcess(program, file('kube-apiserver.log'), [
      'kube-apiserver',
      `--etcd-servers=${etcdUrl}`,
      '--bind-address=127.0.0.1',
      `--secure-port=${port}`,
      '--endpoint-reconciler-type=none', // the address to publish would be loopback, which Endpoints refuse
      '--service-cluster-ip-range=10.0.0.0/16',
      `--client-ca-file=${file('ca.crt')}`,
      `--tls-cert-file=${file('tls.crt')}`,
      `--tls-private-key-file=${file('tls.key')}`,
      ...publicKeys.map((path) => `--service-account-key-file=${path}`),
      `--service-account-signing-key-file=${file('sa.key')}`,
      `--service-account-issuer=${issuer}`,
      `--cert-dir=${directory}`,
      '--authorization-mode=RBAC',
      '--allow-privileged=true',
      '--event-ttl=10m',
      ...(options.serviceAccountAdmission ? [] : ['--disable-admission-plugins=ServiceAccount']),
      ...(options.flags ?? []),
    ]);
  let server = startServer();

  const ready = async (): Promise<void> => {
    const identity = await readIdentity(kubeconfigPath);
    const deadline = Date.now() + startDeadlineMs;
    let seen = '';
    while (Date.now() < deadline) {
      for (const process of [etcd, server]) if (process.exited) throw await process.failure();
      seen = await probe(`${url}/readyz`, identity).catch((error: unknown) => String(error));
      if (seen === '200') return;
      await delay(50);
    }
    throw new Error(`kube-apiserver was not ready within ${startDeadlineMs} ms; last answer: ${seen}`);
  };

  const stop = async (): Promise<void> => {
    await Promise.all([server.kill(), etcd.kill()]);
    await rm(directory, { recursive: true, force: true });
  };
  try {
    await ready();
  } catch (error) {
    await stop();
    throw error;
  }

  const restart = async (): Promise<void> => {
    await server.kill();
    server = startServer();
    await ready();
  };

  return {
    url,
    kubeconfigPath,
    clientOptions: { kubeconfig: kubeconfigPath },
    serviceAccountKeyPath: file('sa.key'),
    serviceAccountIssuer: issuer,
    kubeconfigFor,
    restart,
    async rotateServiceAccountKey(type) {
      await useAccountKey(type);
      await restart();
    },
    kill: () => server.kill(),
    compact: () => compactEtcd(etcdUrl),
    stop,
  };
}

interface Process {
  readonly exited: boolean;
  failure(): Promise<Error>;
  kill(): Promise<void>;
}

function startProcess(program: string, logPath: string, argv: readonly string[]): Process {
  const log = openSync(logPath, 'a');
  // The kernel kills the child when its parent is gone, however that happened.
  const child: ChildProcess = spawn('setpriv', ['--pdeathsig', 'KILL', program, ...argv], {
    stdio: ['ignore', log, log],
  });
  closeSync(log);
  let spawnError = '';
  child.on('error', (error) => {
    spawnError = error.message;
  });
  const exited = (): boolean => spawnError !== '' || child.exitCode !== null || child.signalCode !== null;
  return {
    get exited() {
      return exited();
    },
    async failure() {
      const tail = (await readFile(logPath, 'utf8')).split('\n').slice(-15).join('\n');
      return new Error(`${argv[0]} ended early (${spawnError || child.exitCode || child.signalCode}):\n${tail}`);
    },
    async kill() {
      if (exited()) return;
      const gone = once(child, 'exit');
      child.kill('SIGKILL');
      await gone;
    },
  };
}

/** A port that nobody listens on, from below the range that the kernel gives to outgoing connections. */
async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(20_000, 32_000);
    const server = createServer();
    const free = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false));
      server.listen(port, '127.0.0.1', () => resolve(true));
    });
    if (!free) continue;
    server.close();
    await once(server, 'close');
    return port;
  }
}

interface Identity {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

async function readIdentity(path: string): Promise<Identity> {
  const text = await readFile(path, 'utf8');
  const field = (name: string): string => {
    const value = new RegExp(`"${name}":"([^"]+)"`).exec(text)?.[1];
    if (value === undefined) throw new Error(`${path} has no ${name}`);
    return Buffer.from(value, 'base64').toString();
  };
  return {
    ca: field('certificate-authority-data'),
    cert: field('client-certificate-data'),
    key: field('client-key-data'),
  };
}

/** The status code of a GET, as text. */
function probe(url: string, identity: Identity): Promise<string> {
  return new Promise((resolve, reject) => {
    const call = request(url, { ...identity, agent: false, timeout: 2_000 }, (response) => {
      response.resume();
      resolve(String(response.statusCode));
    });
    call.on('timeout', () => call.destroy(new Error('no answer within 2 s')));
    call.on('error', reject);
    call.end();
  });
}

/** Speaks etcd's JSON gateway: kube-apiserver has no call for this. */
async function compactEtcd(etcdUrl: string): Promise<void> {
  const post = async (path: string, body: unknown): Promise<unknown> => {
    const response = await fetch(`${etcdUrl}${path}`, { method: 'POST', body: JSON.stringify(body) });
    if (!response.ok) throw new Error(`etcd ${path}: ${response.status} ${await response.text()}`);
    return response.json();
  };
  const status = (await post('/v3/maintenance/status', {})) as { header: { revision: string } };
  await post('/v3/kv/compaction', { revision: status.header.revision, physical: true });
}
