/** The injector as one thing that starts and stops; main.ts gives it the process around it. */
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from 'pino';
import { describePair, readKeyPair, watchKeyPair } from '#certificates/serving-certificate.ts';
import { loggerLevel } from '#crds/log-level.ts';
import { startHealthServer } from '#kubernetes/health.ts';
import type { KubernetesClient } from '#kubernetes/types.ts';
import type { Environment } from './environment.ts';
import { createMetrics } from './metrics.ts';
import { createWebhookServer } from './server.ts';
import { createSources } from './sources.ts';

export interface InjectorOptions {
  readonly client: KubernetesClient;
  readonly environment: Environment;
  readonly log: Logger;
  readonly version: string;
  readonly host: string;
  /** 9090 and 9091; 0 takes a free one. */
  readonly webhookPort: number;
  readonly healthPort: number;
  /** How long to go on answering after being told to stop, while Services and the API server look elsewhere. */
  readonly lameDuckMs: number;
}

export interface Injector {
  readonly webhookPort: number;
  readonly healthPort: number;
  /** Unready at once, then answers for `lameDuckMs` more, then waits for open requests and closes. */
  stop(): Promise<void>;
}

/** Resolves when both ports listen; readiness follows when the stores are synced and there is a MeshConfig. */
export async function startInjector(options: InjectorOptions): Promise<Injector> {
  const { client, environment, log, host } = options;
  const metrics = createMetrics();
  let stopping = false;
  const sources = createSources({
    client,
    log,
    defaults: {
      meshName: environment.meshName,
      controlPlaneNamespace: environment.namespace,
      nativeSidecars: environment.nativeSidecars,
      image: environment.image,
      envoyImage: environment.envoyImage,
    },
    onMeshConfig: (config) => {
      log.level = loggerLevel(config.spec.observability.osmLogLevel) ?? environment.logLevel;
    },
  });
  const health = await startHealthServer({
    host,
    port: options.healthPort,
    unready: () => {
      if (stopping) return ['the injector is stopping'];
      // What it knows goes stale, and namespaces that it has to ask for cannot be asked for.
      if (client.refusal !== undefined) return [client.refusal];
      return sources.missing().map((what) => `waiting for ${what}`);
    },
    version: { version: options.version },
    metrics: metrics.registry,
  });
  sources.start();

  const tls = await readKeyPair(environment.tlsDirectory);
  const server = createWebhookServer({ tls, sources, metrics, log, now: () => performance.now() / 1000 });
  const certificate = watchKeyPair(environment.tlsDirectory, tls, {
    changed: (pair) => {
      server.server.setSecureContext({ ...pair, minVersion: 'TLSv1.2' });
      log.info(describePair(pair), 'serving with the new certificate');
    },
    failed: (error) => log.error({ err: error }, 'the serving certificate cannot be read anew, the former one stays'),
  });
  await server.listen({ host, port: options.webhookPort });
  log.info({ port: portOf(server.server.address()) }, 'webhooks are served');

  return {
    webhookPort: portOf(server.server.address()),
    healthPort: health.port,
    async stop() {
      if (stopping) return;
      stopping = true;
      await delay(options.lameDuckMs);
      certificate.stop();
      await server.close();
      sources.stop();
      await health.close();
    },
  };
}

function portOf(address: AddressInfo | string | null): number {
  return typeof address === 'object' && address !== null ? address.port : 0;
}
