/** The parts of `MeshConfig.spec` that OSM 1.2 had, with the defaults of its install, and what was added to each. */
import { durationMs } from '../duration.ts';
import { imageOrDefault, namespacedName, resources } from './common.ts';
import {
  cidr,
  duration,
  flag,
  integer,
  list,
  name,
  noEffect,
  notYet,
  object,
  oneOf,
  optional,
  port,
  section,
  text,
  type Rule,
} from './kit.ts';

const newPods = 'Concerns pods created from then on.';

/** Those of Envoy's documentation: with a name that it does not know, every sidecar would refuse its configuration. */
const cipher =
  '((ECDHE-(ECDSA|RSA)-)?AES(128-GCM-SHA256|256-GCM-SHA384|128-SHA|256-SHA)|ECDHE-(ECDSA|RSA)-CHACHA20-POLY1305)';
const cipherPattern = `^(${cipher}|\\[${cipher}(\\|${cipher})*\\])$`;
const curvePattern = '^(X25519|x25519|P-256|prime256v1|P-384|secp384r1|P-521|secp521r1|X25519MLKEM768)$';

const tlsVersions = ['TLS_AUTO', 'TLSv1_0', 'TLSv1_1', 'TLSv1_2', 'TLSv1_3'] as const;
type TlsVersion = (typeof tlsVersions)[number];

interface TlsRange {
  readonly tlsMinProtocolVersion: TlsVersion;
  readonly tlsMaxProtocolVersion: TlsVersion;
}

/** The names of the versions sort as the versions do; TLS_AUTO leaves the end open. */
const tlsRules: readonly Rule[] = [
  {
    rule:
      "self.tlsMinProtocolVersion == 'TLS_AUTO' || self.tlsMaxProtocolVersion == 'TLS_AUTO' || " +
      'self.tlsMinProtocolVersion <= self.tlsMaxProtocolVersion',
    message: 'tlsMinProtocolVersion must not be above tlsMaxProtocolVersion',
    fieldPath: '.tlsMinProtocolVersion',
    holds: ({ tlsMinProtocolVersion: min, tlsMaxProtocolVersion: max }: TlsRange) =>
      min === 'TLS_AUTO' || max === 'TLS_AUTO' || min <= max,
  },
  {
    rule: "!(self.tlsMaxProtocolVersion in ['TLSv1_0', 'TLSv1_1'])",
    message:
      'tlsMaxProtocolVersion must be TLSv1_2 or higher: the control plane speaks nothing older, so that no sidecar could reach it',
    fieldPath: '.tlsMaxProtocolVersion',
    holds: ({ tlsMaxProtocolVersion: max }: TlsRange) => max !== 'TLSv1_0' && max !== 'TLSv1_1',
  },
];

/** Below the time that a walk from one root to the next takes, roots would be replaced without end. */
const rotationInterval: Rule = {
  rule: "duration(self) >= duration('1h')",
  message: 'interval must be 1h or longer',
  holds: (self: string) => (durationMs(self) ?? 0) >= 3_600_000,
};

function atLeastAMinute(field: string): Rule {
  return {
    rule: "duration(self) >= duration('1m')",
    message: `${field} must be 1m or longer`,
    holds: (self: string) => (durationMs(self) ?? 0) >= 60_000,
  };
}

/** Envoy counts whole seconds; at 0 an HTTP connection could not even be told that it ends. */
const drainRule: Rule = {
  rule: "duration(self) >= duration('1s') && duration(self) <= duration('1h')",
  message: 'drainTime must be from 1s to 1h',
  holds: (self: string) => (durationMs(self) ?? 0) >= 1000 && (durationMs(self) ?? 0) <= 3_600_000,
};

const maxConnectionRule: Rule = {
  rule: "duration(self) == duration('0s') || duration(self) >= duration('10s')",
  message: 'maxConnectionDuration must be 10s or longer, or 0s for no limit',
  holds: (self: string) => durationMs(self) === 0 || (durationMs(self) ?? 0) >= 10_000,
};

export const sidecar = section(
  'The Envoy sidecars.',
  {
    enablePrivilegedInitContainer: flag(`Runs the init container privileged, as OpenShift needs it. ${newPods}`, false),
    logLevel: oneOf(
      ['trace', 'debug', 'info', 'warning', 'warn', 'error', 'critical', 'off'],
      `Envoy’s log level. ${newPods}`,
      'error',
    ),
    envoyImage: imageOrDefault(`Image of the sidecar; empty for the one that this version was tested with. ${newPods}`),
    envoyWindowsImage: imageOrDefault(
      `Image of the sidecar on Windows nodes. ${noEffect}: Windows pods are not injected.`,
    ),
    initContainerImage: imageOrDefault(`Image of the init container; empty for the control plane’s own. ${newPods}`),
    maxDataPlaneConnections: integer('The most sidecars that a controller serves; 0 sets no limit.', { default: 0 }),
    configResyncInterval: duration(
      `How often every sidecar is sent its configuration again. ${noEffect}: changes reach sidecars by themselves.`,
      { default: '0s' },
    ),
    resources: optional(resources),
    tlsMinProtocolVersion: oneOf(tlsVersions, 'The lowest TLS version between sidecars.', 'TLSv1_2'),
    tlsMaxProtocolVersion: oneOf(tlsVersions, 'The highest TLS version between sidecars.', 'TLSv1_3'),
    cipherSuites: optional(
      list(
        text('OpenSSL’s name of a cipher, or several of equal rank: `[A|B]`.', {
          pattern: cipherPattern,
          maxLength: 512,
        }),
        'Ciphers for TLS 1.2 and older; Envoy’s own where left out.',
      ),
    ),
    ecdhCurves: optional(
      list(
        text('Name of a curve.', { pattern: curvePattern, maxLength: 32 }),
        'Curves for the key exchange; Envoy’s own where left out.',
      ),
    ),
    localProxyMode: oneOf(
      ['Localhost', 'PodIP'],
      `Where a sidecar forwards inbound traffic to: 127.0.0.1, or the pod’s address. ${newPods}`,
      'Localhost',
    ),
    preStopSleep: optional(
      duration(
        'How long the containers of a pod that ends go on before they are stopped, where they have no preStop hook of their own; ' +
          `off where left out. ${newPods}`,
      ),
    ),
    drainTime: duration(
      'How long open connections go on after the rules that they were accepted under have changed, in whole seconds (rounded up), ' +
        `1s–1h; then they are closed. ${newPods}`,
      { default: '5s', rules: [drainRule] },
    ),
    maxConnectionDuration: duration(
      'The age at which an HTTP connection between sidecars takes no further request, 10s or longer; the requests on it are finished ' +
        'first. 0s sets no limit. The next connection looks at the certificates anew.',
      { default: '1h', rules: [maxConnectionRule] },
    ),
  },
  tlsRules,
);

const inboundExternalAuthorization = object(
  `A gRPC service that is asked about each inbound HTTP request. ${notYet}`,
  {
    enable: flag('Whether it is asked.', false),
    address: optional(text('Its host name or address.')),
    port: optional(port('Its port.')),
    statPrefix: text('Prefix of Envoy’s statistics of it.', { default: 'inboundExtAuthz' }),
    timeout: duration('How long to wait for its answer.', { default: '1s' }),
    failureModeAllow: flag('Lets requests through when it cannot be reached.', false),
  },
  {
    rules: [
      {
        rule: '!self.enable || (has(self.address) && has(self.port))',
        message: 'address and port are needed when enable is true',
        holds: (self: { enable: boolean; address?: string; port?: number }) =>
          !self.enable || (self.address !== undefined && self.port !== undefined),
      },
    ],
  },
);

export const traffic = section('What becomes of traffic.', {
  enableEgress: flag('Lets pods reach destinations outside the mesh; Egress policies matter only when false.', true),
  enablePermissiveTrafficPolicyMode: flag(
    'Lets every pod of the mesh call every other; when false, only what a TrafficTarget allows passes.',
    true,
  ),
  outboundIPRangeExclusionList: optional(list(cidr('A range.'), `Destinations that bypass the sidecar. ${newPods}`)),
  outboundIPRangeInclusionList: optional(
    list(cidr('A range.'), `If not empty, only these destinations go through the sidecar. ${newPods}`),
  ),
  outboundPortExclusionList: optional(list(port('A port.'), `Destination ports that bypass the sidecar. ${newPods}`)),
  inboundPortExclusionList: optional(list(port('A port.'), `Ports of the pod that bypass the sidecar. ${newPods}`)),
  networkInterfaceExclusionList: optional(
    list(name('Name of an interface.'), `Interfaces whose traffic bypasses the sidecar. ${newPods}`),
  ),
  inboundExternalAuthorization: optional(inboundExternalAuthorization),
  applicationIdleTimeout: duration(
    'After this idle time a sidecar closes its connection to the application; keep it below the application’s own keep-alive time.',
    { default: '2s' },
  ),
});

export const observability = section('Logs, metrics and traces.', {
  osmLogLevel: oneOf(
    ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'panic', 'disabled'],
    'Log level of the control plane; live.',
    'info',
  ),
  enableDebugServer: flag(`Serves debug pages on the controller’s port 9092. ${notYet}`, false),
  tracing: section(`Zipkin traces of requests. ${notYet}`, {
    enable: flag('Whether sidecars send them.', false),
    address: optional(text('Host of the collector; `jaeger` in the control plane’s namespace where left out.')),
    port: port('Port of the collector.', 9411),
    endpoint: text('Path at the collector.', { default: '/api/v2/spans' }),
  }),
});

export const certificate = section('The certificates of workloads.', {
  trustDomain: text('Trust domain of the mesh’s identities, `spiffe://<trust domain>/ns/<namespace>/sa/<account>`.', {
    default: 'cluster.local',
    maxLength: 255,
    pattern: '^[a-z0-9]([-a-z0-9._]*[a-z0-9])?$',
  }),
  serviceCertValidityDuration: duration(
    'How long a workload certificate is valid; it is renewed at two thirds of that.',
    {
      default: '24h',
      rules: [atLeastAMinute('serviceCertValidityDuration')],
    },
  ),
  certKeyType: oneOf(
    ['ECDSA', 'RSA'],
    'Keys of workload certificates: ECDSA P-256, or RSA for those who must. Vault’s role may demand the other one.',
    'ECDSA',
  ),
  certKeyBitSize: integer(
    'Bits of RSA keys, 2048–4096 (2048 in place of any other number), where keys are RSA or a provider demands it.',
    { default: 2048 },
  ),
  rotation: optional(
    object(
      'Replaces the built-in root (Secret `osm-ca-bundle`) by itself when it is due; where left out, it is replaced when asked for alone.',
      {
        interval: optional(
          duration(
            'The age at which the root is replaced, 1h or longer; two thirds of its life where left out, and at most.',
            {
              rules: [rotationInterval],
            },
          ),
        ),
        paused: flag('Stops a rotation where it is, and begins none; both roots stay trusted meanwhile.', false),
      },
    ),
  ),
  ingressGateway: optional(
    object('A client certificate for an ingress gateway in front of the mesh, kept in a Secret while this is set.', {
      subjectAltNames: list(
        name('A DNS name.'),
        'DNS names that the certificate carries, all of them. The first is its common name too.',
        { minItems: 1 },
      ),
      validityDuration: duration('How long it is valid.', { rules: [atLeastAMinute('validityDuration')] }),
      secret: namespacedName(
        'The Secret (`kubernetes.io/tls`) that it is written to; one of somebody else is left alone.',
      ),
    }),
  ),
});

export const featureFlags = section('Switches of OSM 1.2.', {
  enableWASMStats: flag(`Request metrics, which no longer need WASM. ${notYet}`, true),
  enableEgressPolicy: flag(`${noEffect}: Egress policies always count where egress is off.`, true),
  enableMulticlusterMode: flag(`${noEffect}: there is no multicluster mode.`, false),
  enableSnapshotCacheMode: flag(`${noEffect}: there is one cache.`, false),
  enableAsyncProxyServiceMapping: flag(`${noEffect}: sidecars are mapped to services as pods change.`, false),
  enableIngressBackendPolicy: flag(`Honours IngressBackend policies. ${notYet}`, true),
  enableEnvoyActiveHealthChecks: flag(`Sidecars check the health of the sidecars that they call. ${notYet}`, false),
  enableMeshRootCertificate: flag(`${noEffect}: MeshRootCertificates always count, and nothing restarts.`, false),
  enableRetryPolicy: flag(`Honours Retry policies. ${notYet}`, false),
});
