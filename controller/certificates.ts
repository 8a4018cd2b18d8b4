/** The workload CA with the cluster around it: where its choice, its Secrets and its memory are, and whom it tells. */
import { readFile } from 'node:fs/promises';
import type { Logger } from 'pino';
import { type Choice, chooseIssuers, lastChoice } from '#certificates/choice.ts';
import { type CertificateFacts, certificateFacts, nameOf, withTroubles } from '#certificates/facts.ts';
import { provide } from '#certificates/providers/create.ts';
import type { ReplicaReport } from '#certificates/replica-report.ts';
import type { Trust } from '#certificates/trust.ts';
import { SecretBytes } from '#certificates/secret-bytes.ts';
import type { EventRecorder } from '#kubernetes/events.ts';
import type { KubernetesClient } from '#kubernetes/types.ts';
import { certificateEvents } from './certificate-events.ts';
import type { Environment } from './environment.ts';
import { type Metrics, watchCertificates } from './metrics.ts';
import { createReplicas, type ReplicasOptions, type ReplicaTiming } from './replicas.ts';
import { rootCertificate } from './parse/root-certificate.ts';
import { elsewhereStatus, rootCertificateStatus } from './root-certificate-status.ts';
import { rememberRoots } from './root-memory.ts';
import type { ToldRootCertificate } from './root-status-writer.ts';
import type { Sidecars } from './spread.ts';
import type { Stores } from './stores.ts';
import { createWorkloadCa, type WorkloadCa, type WorkloadCaTiming } from './workload-ca.ts';

export interface CertificatesOptions {
  readonly client: KubernetesClient;
  readonly environment: Environment;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly stores: Stores;
  readonly record: EventRecorder['record'];
  readonly reflect: ReplicasOptions['reflect'];
  readonly sidecars: (given: Trust) => Sidecars;
  /** True in the replica that tells users for all. */
  readonly leads: () => boolean;
  /** Who signs, who is trusted, or what is wrong has changed. */
  readonly onFacts: () => void;
  /** Another signer, or other roots: certificates that go to no sidecar are looked at anew. */
  readonly onSigner: () => void;
  readonly timing?: Partial<WorkloadCaTiming & ReplicaTiming> | undefined;
}

export interface Certificates extends Omit<WorkloadCa, 'loaded' | 'state' | 'walk'> {
  facts(): CertificateFacts;
  /** What is to be said of each MeshRootCertificate; none while too little is known. */
  statuses(): ToldRootCertificate[];
  /** Why certificates cannot be issued yet, as a sentence for readiness; undefined when they can. */
  readonly waitingFor: string | undefined;
}

/** How often it is looked whether something is to be told, in milliseconds. */
const tellEveryMs = 5_000;

export function createCertificates(options: CertificatesOptions): Certificates {
  const { client, environment, log, metrics, stores, record, sidecars, timing } = options;
  const { namespace, podName } = environment;
  const context = {
    client,
    namespace,
    readServiceAccountToken: async () => new SecretBytes(await readFile(environment.vaultTokenPath)),
    rsaBits: () => stores.settings()?.rsaBits ?? 2048,
    now: Date.now,
    onLeftover: (name: string, error: unknown) =>
      log.warn({ err: error }, `CertificateRequest ${name} was not deleted`),
  };
  const replicas = createReplicas({
    ...{ client, namespace, podName, reflect: options.reflect },
    onChange: () => ca.lookNow(),
    onError: (error) =>
      log.warn({ err: error }, 'what this replica’s sidecars have was not written, and is tried again'),
    ...(timing === undefined ? {} : { timing }),
  });
  let said: { readonly report: ReplicaReport; readonly neededRoots: Trust } | undefined;
  const own = (): CertificateFacts => certificateFacts(ca.state());
  const look = (): CertificateFacts =>
    withTroubles(
      own(),
      replicas.others().map(({ podName: of, report }) => ({ podName: of, troubles: report.troubles ?? [] })),
    );
  function publish(): void {
    if (said !== undefined) replicas.publish({ ...said.report, troubles: own().troubles }, said.neededRoots);
  }
  const choice = (): Choice | undefined => {
    const settings = stores.settings();
    if (settings === undefined || stores.waitingFor().length > 0 || !replicas.isSynced) return undefined;
    return chooseIssuers(stores.rootCertificates(), { ...settings, namespace });
  };
  const ca = createWorkloadCa({
    choice,
    last() {
      const settings = stores.settings();
      if (settings === undefined) return { signing: [], validating: [], likely: undefined };
      const signing = replicas.others().filter(({ report }) => report.signing !== '');
      const signers = new Set(signing.map(({ report }) => report.signer));
      return lastChoice(stores.rootCertificates(), [...signers], { ...settings, namespace });
    },
    others: () => replicas.others(),
    onReport(report, neededRoots) {
      said = { report, neededRoots };
      publish();
      options.onFacts();
    },
    settings: stores.settings,
    provide: (spec, known) => provide(spec, context, known),
    throwAway: { namespace, name: 'osm-root-discovery' },
    remember(root, rootsPem) {
      rememberRoots(context, root, rootsPem).catch((error: unknown) =>
        log.error({ err: error }, `the roots of MeshRootCertificate ${root.name} were not kept in its status`),
      );
    },
    sidecars,
    podName,
    now: Date.now,
    elapsed: () => performance.now(),
    onSigning(source) {
      log.info({ trustDomain: source.trustDomain }, `${nameOf(source)} signs workload certificates`);
      options.onSigner();
    },
    onTrust(trust) {
      log.info({ trustDomains: [...trust.keys()] }, 'sidecars are given other roots');
      options.onSigner();
    },
    onError: (error) => log.error({ err: error }, 'the certificate providers could not be looked at'),
    onEvent: (event, signing) => events.onEvent(event, signing),
    ...(timing === undefined ? {} : { timing }),
  });
  const events = certificateEvents({
    ...{ log, metrics, record, now: Date.now },
    facts: look,
    leads: options.leads,
    subject: (name) => (name === undefined ? stores.meshConfig() : stores.rootCertificate(name)),
  });
  watchCertificates(metrics, () => {
    const now = own();
    return { ...now, troubles: now.troubles.length };
  });
  const told = ({ signing, validating, troubles }: CertificateFacts): string =>
    JSON.stringify([signing, validating, troubles]);
  /** What was read last: a trouble that comes and goes between two looks may have been read, and must be read away again. */
  let known = '';
  function facts(): CertificateFacts {
    const now = look();
    known = told(now);
    return now;
  }
  function tell(): void {
    publish();
    events.tell();
    if (told(look()) !== known) options.onFacts();
  }
  let telling: NodeJS.Timeout | undefined;

  return {
    lookNow: () => ca.lookNow(),
    facts,
    statuses() {
      const chosen = choice();
      if (chosen === undefined) return [];
      const walk = ca.walk();
      const others = replicas.others().filter((other) => other.podName !== podName);
      const findings = {
        choice: chosen,
        facts: facts(),
        walk,
        replicas: [{ podName, report: walk.report }, ...others],
      };
      return stores.storedRootCertificates().map((object) => ({
        object,
        status:
          object.metadata.namespace === namespace
            ? rootCertificateStatus(rootCertificate(object, namespace), findings)
            : elsewhereStatus(namespace),
      }));
    },
    signer: () => ca.signer(),
    subscribe: (account, onSecrets) => ca.subscribe(account, onSecrets),
    start() {
      telling = setInterval(tell, tellEveryMs);
      replicas.start();
      ca.start();
    },
    stop() {
      clearInterval(telling);
      replicas.stop();
      ca.stop();
    },
    get waitingFor() {
      if (ca.loaded) return undefined;
      if (!replicas.isSynced) return 'Lease not listed yet';
      const [trouble] = own().troubles;
      return `no provider of workload certificates is ready${trouble === undefined ? '' : `: ${trouble.message}`}`;
    },
  };
}
