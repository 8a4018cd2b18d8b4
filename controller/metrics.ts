import { monitorEventLoopDelay } from 'node:perf_hooks';
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';

/** What gauges show of workload certificates when they are scraped. */
export interface CertificateGauges {
  readonly accountsFailing: number;
  readonly troubles: number;
  /** Milliseconds since 1970. */
  readonly earliestExpiry: number | undefined;
}

/** Adds gauges that ask at each scrape: an alert on the earliest end fires long before anything stops. */
export function watchCertificates({ registry }: Metrics, facts: () => CertificateGauges): void {
  const registers = [registry];
  const gauge = (name: string, help: string, value: (facts: CertificateGauges) => number): void => {
    const made: Gauge = new Gauge({ name, help, registers, collect: () => made.set(value(facts())) });
  };
  gauge(
    'osm_certificate_earliest_expiry_timestamp_seconds',
    'When the first of the workload certificates in use ends, in seconds since 1970; 0 while there is none',
    ({ earliestExpiry }) => (earliestExpiry ?? 0) / 1000,
  );
  gauge(
    'osm_certificate_accounts_failing',
    'Service accounts whose last try for a certificate failed',
    ({ accountsFailing }) => accountsFailing,
  );
  gauge('osm_certificate_troubles', 'Things that are wrong with certificate providers now', ({ troubles }) => troubles);
}

/** Adds the gauge of the ingress gateway's certificate. Milliseconds since 1970. */
export function watchGatewayCertificate({ registry }: Metrics, notAfter: () => number | undefined): void {
  const gauge: Gauge = new Gauge({
    name: 'osm_ingress_gateway_certificate_expiry_timestamp_seconds',
    help: 'When the certificate of the ingress gateway ends, in seconds since 1970; 0 where none is asked for, and in a replica that does not lead',
    registers: [registry],
    collect: () => gauge.set((notAfter() ?? 0) / 1000),
  });
}

export type Metrics = ReturnType<typeof createMetrics>;

/** The controller's metrics; names of the original where they fit. No label holds a pod: their number must not grow. */
export function createMetrics() {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });
  const delay = monitorEventLoopDelay({ resolution: 20 });
  delay.enable();
  const loop = new Gauge({
    name: 'osm_event_loop_delay_max_seconds',
    help: 'Longest time since the last scrape that the process could not serve anybody',
    registers,
    collect() {
      loop.set(delay.max / 1e9);
      delay.reset();
    },
  });
  return {
    registry,
    connected: new Gauge({ name: 'osm_proxy_connect_count', help: 'Sidecars connected now', registers }),
    refused: new Counter({
      name: 'osm_proxy_refused_total',
      help: 'Streams, and requests for the secrets of others, that were refused, by the check that failed',
      labelNames: ['key'],
      registers,
    }),
    tooMany: new Counter({
      name: 'osm_proxy_max_connections_rejected',
      help: 'Streams refused because maxDataPlaneConnections was reached',
      registers,
    }),
    pushes: new Counter({
      name: 'osm_xds_pushes_total',
      help: 'Responses sent, by type',
      labelNames: ['type'],
      registers,
    }),
    pushedBytes: new Counter({
      name: 'osm_xds_push_bytes_total',
      help: 'Bytes of responses, by type',
      labelNames: ['type'],
      registers,
    }),
    acks: new Counter({ name: 'osm_xds_acks_total', help: 'Responses accepted', labelNames: ['type'], registers }),
    nacks: new Counter({
      name: 'osm_xds_nacks_total',
      help: 'Responses refused by Envoy',
      labelNames: ['type'],
      registers,
    }),
    compile: new Histogram({
      name: 'osm_compile_seconds',
      help: 'Time to compile the cluster objects into the model',
      buckets: [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3],
      registers,
    }),
    convergence: new Histogram({
      name: 'osm_proxy_config_update_time',
      help: 'Seconds from a change to the time when every connected sidecar had acknowledged it',
      buckets: [0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 90],
      registers,
    }),
    changes: new Counter({
      name: 'osm_k8s_api_event_count',
      help: 'Changes of objects that the mesh reads, by kind',
      labelNames: ['kind'],
      registers,
    }),
    problems: new Gauge({
      name: 'osm_problems',
      help: 'Things found wrong in applied objects, by key',
      labelNames: ['key'],
      registers,
    }),
    plaintextPods: new Gauge({
      name: 'osm_plaintext_pods',
      help: 'Pods that accept plaintext from outside the mesh (openservicemesh.io/accept-plaintext)',
      labelNames: ['namespace'],
      registers,
    }),
    leader: new Gauge({ name: 'osm_controller_leader', help: '1 in the replica that reports problems', registers }),
    untold: new Gauge({
      name: 'osm_problems_untold',
      help: 'Problems that no Event tells of: more came than are written at once, or stand than are told at all',
      registers,
    }),
    eventsDropped: new Counter({
      name: 'osm_events_dropped_total',
      help: 'Events on refused configuration that were left out because there were too many',
      registers,
    }),
    certificates: new Counter({ name: 'osm_cert_issued_count', help: 'Workload certificates issued', registers }),
    certificateFailures: new Counter({
      name: 'osm_cert_issue_failures_total',
      help: 'Workload certificates that could not be issued',
      registers,
    }),
    providerFailures: new Counter({
      name: 'osm_certificate_provider_failures_total',
      help: 'Workload certificates that a provider did not issue, by provider and reason',
      labelNames: ['provider', 'key'],
      registers,
    }),
  };
}
