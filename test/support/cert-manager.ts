/** The real cert-manager, as a process against an integration API server: its controllers and CRDs, without webhook and cainjector. */
import { type ChildProcess, spawn } from 'node:child_process';
import { globSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import type { CertificateAuthority } from '#certificates/ca.ts';
import type { Client } from '#kubernetes/client.ts';
import { CustomResourceDefinitions, Namespaces } from '#kubernetes/kinds.ts';
import type { Kind, KubeObject } from '#kubernetes/types.ts';
import { lastLines } from '#test/cluster/process.ts';
import { ensureCertManager } from '#test/cluster/programs.ts';
import type { ApiServer } from './apiserver.ts';
import { eventually } from './eventually.ts';

export const Issuers: Kind = kind('Issuer', 'issuers', true);
export const ClusterIssuers: Kind = kind('ClusterIssuer', 'clusterissuers', false);

function kind(name: string, plural: string, namespaced: boolean): Kind {
  return { group: 'cert-manager.io', version: 'v1', kind: name, plural, namespaced };
}

/** Where the Secrets of ClusterIssuers are. */
export const clusterIssuerNamespace = 'cert-manager';

export interface CertManager {
  /** What it has logged. */
  log(): string;
  stop(): Promise<void>;
}

export async function certManagerDefinitions(): Promise<KubeObject[]> {
  const directory = join(dirname(await ensureCertManager()), 'crds');
  const files = await Promise.all(
    globSync(join(directory, '*.yaml'))
      .toSorted()
      .map((file) => readFile(file, 'utf8')),
  );
  return files
    .flatMap((text) => parseAllDocuments(text).map((document) => document.toJS() as KubeObject | null))
    .flatMap((object) => (object?.kind === 'CustomResourceDefinition' ? [object] : []));
}

/** Applies its CRDs; done when the API serves them. */
export async function installCertManager(admin: Client): Promise<void> {
  for (const definition of await certManagerDefinitions()) {
    await admin.apply(CustomResourceDefinitions, definition, { fieldManager: 'test' });
  }
  const namespace = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: clusterIssuerNamespace } };
  await admin.apply(Namespaces, namespace, { fieldManager: 'test' });
  await eventually('the cert-manager API is served', async () => {
    await admin.list(Issuers);
    await admin.list(ClusterIssuers);
    return true;
  });
}

/** `approve`: false leaves every CertificateRequest to the test to approve or deny. */
export async function startCertManager(server: ApiServer, options: { approve?: boolean } = {}): Promise<CertManager> {
  const program = await ensureCertManager();
  const child = spawn(
    'setpriv',
    [
      ...['--pdeathsig', 'KILL', program, '--kubeconfig', server.kubeconfigPath],
      `--cluster-resource-namespace=${clusterIssuerNamespace}`,
      `--approve=${options.approve ?? true}`,
    ],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  );
  let log = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    log += text;
  });
  const ended = new Promise<void>((resolve) => {
    child.once('exit', () => resolve());
    child.once('error', (error) => {
      log += `${error.message}\n`;
      resolve();
    });
  });
  return {
    log: () => log,
    async stop() {
      if (isRunning(child)) child.kill('SIGKILL');
      await ended;
    },
  };
}

function isRunning(child: ChildProcess): boolean {
  return child.exitCode === null && child.signalCode === null;
}

/** The Secret of a CA issuer, as cert-manager keeps an authority. */
export function issuerSecret(name: string, namespace: string, of: CertificateAuthority): KubeObject {
  const base64 = (text: string): string => Buffer.from(text).toString('base64');
  const data = {
    'tls.crt': base64(of.certificatePem),
    'tls.key': base64(of.privateKey.revealText()),
    'ca.crt': base64(of.rootsPem),
  };
  return { apiVersion: 'v1', kind: 'Secret', metadata: { name, namespace }, data };
}

/** Makes an issuer and waits until cert-manager calls it ready. */
export async function makeIssuer(
  admin: Client,
  manager: CertManager,
  of: { kind: Kind; name: string; namespace?: string; spec: object },
): Promise<void> {
  const metadata = { name: of.name, ...(of.namespace === undefined ? {} : { namespace: of.namespace }) };
  const object = { apiVersion: 'cert-manager.io/v1', kind: of.kind.kind, metadata, spec: of.spec };
  await admin.apply(of.kind, object, { fieldManager: 'test', force: true });
  const read = () => admin.get<KubeObject>(of.kind, of.name, of.namespace);
  await eventually(
    `${of.kind.kind} ${of.name} is ready`,
    async () => {
      const status = (await read())?.status as { conditions?: { type: string; status: string }[] } | undefined;
      return status?.conditions?.some(({ type, status: holds }) => type === 'Ready' && holds === 'True');
    },
    {
      everyMs: 50,
      state: async () => `${JSON.stringify((await read())?.status)}\n${lastLines(manager.log(), 10)}`,
    },
  );
}
