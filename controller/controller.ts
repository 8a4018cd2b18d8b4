/** The controller as one thing that starts and stops; main.ts gives it the process around it. */
import type { AddressInfo } from 'node:net';
import type { Logger } from 'pino';
import { describePair, readKeyPair, watchKeyPair } from '#certificates/serving-certificate.ts';
import { loggerLevel } from '#crds/log-level.ts';
import { createEventRecorder } from '#kubernetes/events.ts';
import { MeshConfigs, Namespaces } from '#kubernetes/kinds.ts';
import { startHealthServer } from '#kubernetes/health.ts';
import { createReflector } from '#kubernetes/reflector.ts';
import type { KubernetesClient, Reflector, ReflectorOptions } from '#kubernetes/types.ts';
import { type Problem, sortProblems } from '#mesh/problem.ts';
import { createAdsServer } from '#xds/server/ads.ts';
import { createAuthenticator } from '#xds/server/auth.ts';
import { identityProvider } from '#xds/server/identity-provider.ts';
import type { ProxyStream } from '#xds/server/stream.ts';
import { createTokenVerifier } from '#xds/server/token.ts';
import { IDENTITY_SECRETS } from '#xds/translate/names.ts';
import { translateEndpoints, translateView } from '#xds/translate/translate.ts';
import { createApi, type ProxyInfo } from './api.ts';
import { createCertificates } from './certificates.ts';
import { createDirectory } from './directory.ts';
import { createDistribution } from './distribution.ts';
import type { Environment } from './environment.ts';
import { createGatewayCertificate } from './gateway-certificate.ts';
import { createMetrics, watchGatewayCertificate } from './metrics.ts';
import { refusalEvent } from './refusal-event.ts';
import { createReporter, type ReporterOptions } from './reporter.ts';
import { fetchSigningKeys, mayGet, reviewCaller, reviewPodToken } from './reviews.ts';
import { createRevisions } from './revisions.ts';
import { createStores } from './stores.ts';
import { streamEvents } from './stream-events.ts';
import type { ReplicaTiming } from './replicas.ts';
import { sidecarsOf } from './sidecars.ts';
import type { WorkloadCaTiming } from './workload-ca.ts';

const AUDIENCE = 'osm';

export interface ControllerOptions {
  readonly client: KubernetesClient;
  readonly environment: Environment;
  readonly log: Logger;
  readonly version: string;
  readonly host: string;
  /** 15128, 9092 and 9091; 0 takes a free one. */
  readonly xdsPort: number;
  readonly apiPort: number;
  readonly healthPort: number;
  /** Over how long streams are closed when the controller stops, in milliseconds. */
  readonly drainMs: number;
  /** For tests; the defaults suit production. */
  readonly reporting?: ReporterOptions['timing'];
  /** For tests; the defaults suit several replicas. */
  readonly certificateTiming?: Partial<WorkloadCaTiming & ReplicaTiming>;
}

export interface Controller {
  readonly xdsPort: number;
  readonly apiPort: number;
  readonly healthPort: number;
  /** Unready at once; streams end spread over `drainMs`; then all is closed. */
  stop(): Promise<void>;
}

/** Resolves when all ports listen; readiness follows the stores, the CA and the first compile. */
export async function startController(options: ControllerOptions): Promise<Controller> {
  const { client, environment, log, host } = options;
  const metrics = createMetrics();
  let stopping = false;
  let problems: readonly Problem[] = [];

  const reflect = <T>(of: Pick<ReflectorOptions<T>, 'kind' | 'list' | 'transform'>): Reflector<T> =>
    createReflector({
      ...of,
      client,
      onTransition: ({ name, kind, detail }) => log.debug({ transition: name, kind, detail }, 'watch'),
    });

  const stores = createStores({
    ...environment,
    reflect,
    onChange: (change) => {
      log.level = loggerLevel(stores.settings()?.logLevel ?? '') ?? environment.logLevel;
      metrics.changes.inc({ kind: change.kind });
      if (change.kind === MeshConfigs.kind) ca.lookNow();
      if (change.kind === MeshConfigs.kind || change.kind === Namespaces.kind) gateway.lookNow();
      revisions.changed(change);
    },
    onSynced: () => {
      revisions.request('all kinds are listed');
      ca.lookNow();
    },
    onRootCertificates: () => ca.lookNow(),
    onConfig: () => publish(),
    onConfigError: (errors) => log.error({ errors }, 'the MeshConfig is not valid, the last good one stays in force'),
  });

  const events = createEventRecorder({
    client,
    controller: 'openservicemesh.io/osm-controller',
    instance: environment.podName,
    onError: (error) => log.warn({ err: error }, 'an Event was not written'),
  });

  const distribution = createDistribution({
    translate: { view: translateView, endpoints: translateEndpoints },
    secrets: (account, onSecrets) => ca.subscribe(account, onSecrets),
    pod: (namespace, name) => stores.pods.get(`${namespace}/${name}`),
    zoneOf: (pod) => stores.zoneOf(pod),
    requestRevision: (reason) => revisions.request(reason),
  });

  const revisions = createRevisions({
    ...{ log, metrics },
    stores: () => stores,
    distribution: () => distribution,
    onCompiled() {
      publish();
      reporter.start();
    },
  });

  const ca = createCertificates({
    ...{ client, environment, log, metrics, stores, reflect },
    record: (note) => events.record(note),
    onFacts: () => reporter.changed(),
    leads: () => reporter.leads,
    sidecars: (given) => sidecarsOf([...server.streams()], given, Date.now()),
    onSigner: () => gateway.lookNow(),
    timing: options.certificateTiming,
  });

  const gateway = createGatewayCertificate({
    ...{ client, log, metrics, meshName: environment.meshName, now: Date.now },
    settings: () => stores.settings()?.gateway,
    signer: ca.signer,
    hasNamespace: (name) => stores.hasNamespace(name),
    meshConfig: () => stores.meshConfig(),
    record: (note) => events.record(note),
    onFact: () => reporter.changed(),
  });
  watchGatewayCertificate(metrics, () => gateway.fact()?.notAfter);

  /** What is wrong, as it is known now: in what the last compile read, and in what it could not even read. */
  function publish(): void {
    problems = sortProblems([...stores.problems(), ...(revisions.compiled?.problems ?? [])]);
    metrics.problems.reset();
    for (const { key } of problems) metrics.problems.inc({ key });
    reporter.changed();
  }

  const reporter = createReporter({
    ...environment,
    client,
    log,
    metrics,
    findings() {
      const { compiled } = revisions;
      if (compiled === undefined || compiled.settings !== stores.settings()) return undefined;
      return { ...compiled, problems, certificates: ca.facts(), gateway: gateway.fact() };
    },
    meshConfig: () => stores.meshConfig(),
    rootCertificates: () => ca.statuses(),
    subject: (object) => stores.subject(object),
    onLeading: (signal) => gateway.lead(signal),
    ...(options.reporting === undefined ? {} : { timing: options.reporting }),
  });

  const tls = await readKeyPair(environment.tlsDirectory);
  const identity = identityProvider(tls);
  const server = createAdsServer({
    authenticator: createAuthenticator({
      verifier: createTokenVerifier({
        audience: AUDIENCE,
        fetchKeys: () => fetchSigningKeys(client),
        review: (token) => reviewPodToken(client, token, AUDIENCE),
        now: Date.now,
      }),
      directory: createDirectory({ client, pods: stores.pods, accounts: stores.accounts }),
    }),
    source: distribution,
    certificate: identity.provider,
    secretNames: IDENTITY_SECRETS,
    maxStreams: () => stores.settings()?.maxDataPlaneConnections ?? 0,
    events: streamEvents({
      now: Date.now,
      log,
      metrics,
      distribution,
      tell(sidecar, nack) {
        const meshConfig = stores.meshConfig();
        if (meshConfig === undefined) return;
        const { dropped } = events;
        events.record(refusalEvent(meshConfig, sidecar, nack));
        metrics.eventsDropped.inc(events.dropped - dropped);
      },
    }),
  });

  stores.pods.subscribe((change) => {
    if (change.type === 'added') return;
    const { uid } = change.previous;
    if (change.type === 'updated' && change.object.uid === uid) return;
    server.closeStreams(({ podUid }) => podUid === uid, { key: 'pod-gone', message: 'the pod is gone' });
  });
  stores.accounts.subscribe((change) => {
    if (change.type === 'added' || (change.type === 'updated' && change.object === change.previous)) return;
    const refusal = { key: 'account-changed', message: 'the service account is gone' } as const;
    server.closeStreams(({ accountUid }) => accountUid === change.previous, refusal);
  });

  const unready = (): string[] => {
    if (stopping) return ['the controller is stopping'];
    if (client.refusal !== undefined) return [client.refusal];
    const missing = stores.waitingFor();
    if (missing.length > 0) return missing;
    if (ca.waitingFor !== undefined) return [ca.waitingFor];
    return distribution.revision === 0 ? ['the mesh is not compiled yet'] : [];
  };
  const health = await startHealthServer({
    port: options.healthPort,
    host,
    unready,
    version: { version: options.version },
    metrics: metrics.registry,
  });

  const api = createApi({
    tls,
    caller: (token) => reviewCaller(client, token),
    mayGet: (caller, part) => mayGet(client, caller, part, environment.namespace),
    problems: () => problems,
    proxies: () => [...server.streams()].map(proxyInfo),
    snapshot: (namespace, pod) => {
      const found = [...server.streams()].find(({ proxy }) => proxy.namespace === namespace && proxy.pod === pod);
      return found && distribution.snapshotOf(found);
    },
  });
  await api.listen({ host, port: options.apiPort });

  const certificate = watchKeyPair(environment.tlsDirectory, tls, {
    changed: (pair) => {
      identity.serve(pair);
      api.server.setSecureContext({ ...pair, minVersion: 'TLSv1.2' });
      log.info(describePair(pair), 'serving with the new certificate');
    },
    failed: (error) => log.error({ err: error }, 'the serving certificate cannot be read anew, the former one stays'),
  });

  stores.start();
  ca.start();
  const xdsPort = await server.listen(
    host.includes(':') ? `[${host}]:${options.xdsPort}` : `${host}:${options.xdsPort}`,
  );
  log.info({ port: xdsPort }, 'configuration is served');

  return {
    xdsPort,
    apiPort: (api.server.address() as AddressInfo).port,
    healthPort: health.port,
    async stop() {
      if (stopping) return;
      stopping = true;
      certificate.stop();
      const released = reporter.stop(); // first, so that another reports while our streams close
      await server.drain(options.drainMs);
      revisions.stop();
      stores.stop();
      gateway.stop();
      ca.stop();
      await released;
      await api.close();
      await health.close();
    },
  };
}

function proxyInfo(stream: ProxyStream): ProxyInfo {
  const { namespace, pod, podUid, account } = stream.proxy;
  return {
    namespace,
    pod,
    podUid,
    serviceAccount: account,
    connectedAt: new Date(stream.openedAt).toISOString(),
    synced: stream.settled(),
    types: stream.status(),
  };
}
