/**
 * Manifests that must be refused, each for one field. The same table is held against our parsers (unit) and against a
 * real API server (integration), so that the two never drift apart.
 */

export interface BadManifest {
  readonly name: string;
  readonly object: { apiVersion: string; kind: string; metadata: { name: string }; spec?: unknown };
  /** As parser and API server both write it. */
  readonly field: string;
}

const mesh = (name: string, spec: unknown, field: string, objectName = 'osm-mesh-config'): BadManifest => ({
  name: `a MeshConfig with ${name}`,
  object: {
    apiVersion: 'config.openservicemesh.io/v1alpha2',
    kind: 'MeshConfig',
    metadata: { name: objectName },
    spec,
  },
  field,
});

const other = (apiVersion: string, kind: string, name: string, spec: unknown, field: string): BadManifest => ({
  name: `a ${kind} with ${name}`,
  object: { apiVersion, kind, metadata: { name: 'bad' }, spec },
  field,
});

const split = (name: string, spec: unknown, field: string): BadManifest =>
  other('split.smi-spec.io/v1alpha2', 'TrafficSplit', name, spec, field);
const policy = (kind: string, name: string, spec: unknown, field: string): BadManifest =>
  other('policy.openservicemesh.io/v1alpha1', kind, name, spec, field);

const account = { kind: 'ServiceAccount', name: 'curl', namespace: 'curl' };
const backend = { name: 'httpbin', port: { number: 80, protocol: 'http' } };

export const badManifests: readonly BadManifest[] = [
  mesh('another name', {}, 'metadata.name', 'my-mesh'),
  mesh('a cipher that Envoy does not know', { sidecar: { cipherSuites: ['JUNK'] } }, 'spec.sidecar.cipherSuites[0]'),
  mesh('a curve that Envoy does not know', { sidecar: { ecdhCurves: ['FOO'] } }, 'spec.sidecar.ecdhCurves[0]'),
  mesh('no image for the control plane', { controlPlane: { image: 'not an image!' } }, 'spec.controlPlane.image'),
  mesh('no image for the sidecar', { sidecar: { envoyImage: 'also bad !' } }, 'spec.sidecar.envoyImage'),
  mesh('an unknown log level', { sidecar: { logLevel: 'loud' } }, 'spec.sidecar.logLevel'),
  mesh(
    'a low TLS maximum',
    { sidecar: { tlsMinProtocolVersion: 'TLSv1_0', tlsMaxProtocolVersion: 'TLSv1_1' } },
    'spec.sidecar.tlsMaxProtocolVersion',
  ),
  mesh(
    'crossed TLS versions',
    { sidecar: { tlsMinProtocolVersion: 'TLSv1_3', tlsMaxProtocolVersion: 'TLSv1_2' } },
    'spec.sidecar.tlsMinProtocolVersion',
  ),
  mesh(
    'a range that is none',
    { traffic: { outboundIPRangeExclusionList: ['10.0.0.0/8', '10.0.0.0'] } },
    'spec.traffic.outboundIPRangeExclusionList[1]',
  ),
  mesh(
    'a prefix that is too long',
    { traffic: { outboundIPRangeInclusionList: ['10.0.0.0/33'] } },
    'spec.traffic.outboundIPRangeInclusionList[0]',
  ),
  mesh(
    'a range that iptables would refuse, and with it every pod',
    { traffic: { outboundIPRangeExclusionList: ['300.1.1.1/8'] } },
    'spec.traffic.outboundIPRangeExclusionList[0]',
  ),
  mesh('port 0', { traffic: { inboundPortExclusionList: [80, 0] } }, 'spec.traffic.inboundPortExclusionList[1]'),
  mesh(
    'half an authorization service',
    { traffic: { inboundExternalAuthorization: { enable: true, port: 9191 } } },
    'spec.traffic.inboundExternalAuthorization',
  ),
  mesh('a drain that ends before it began', { sidecar: { drainTime: '500ms' } }, 'spec.sidecar.drainTime'),
  mesh('a drain without end', { sidecar: { drainTime: '61m' } }, 'spec.sidecar.drainTime'),
  mesh(
    'connections of a few seconds',
    { sidecar: { maxConnectionDuration: '9s' } },
    'spec.sidecar.maxConnectionDuration',
  ),
  mesh('a duration without unit', { traffic: { applicationIdleTimeout: '2' } }, 'spec.traffic.applicationIdleTimeout'),
  mesh(
    'certificates for a second',
    { certificate: { serviceCertValidityDuration: '1s' } },
    'spec.certificate.serviceCertValidityDuration',
  ),
  mesh(
    'a new root every minute',
    { certificate: { rotation: { interval: '59m' } } },
    'spec.certificate.rotation.interval',
  ),
  mesh(
    'a gateway without names',
    {
      certificate: {
        ingressGateway: { subjectAltNames: [], validityDuration: '24h', secret: { name: 'a', namespace: 'b' } },
      },
    },
    'spec.certificate.ingressGateway.subjectAltNames',
  ),
  mesh('a trust domain with a slash', { certificate: { trustDomain: 'a/b' } }, 'spec.certificate.trustDomain'),
  mesh('a mesh name that is no label', { meshName: 'my mesh' }, 'spec.meshName'),
  mesh('no controller', { controlPlane: { controller: { replicas: 0 } } }, 'spec.controlPlane.controller.replicas'),
  mesh(
    'a quantity that is none',
    { sidecar: { resources: { limits: { cpu: 'lots' } } } },
    'spec.sidecar.resources.limits.cpu',
  ),
  mesh('text for a flag', { traffic: { enableEgress: 'yes' } }, 'spec.traffic.enableEgress'),
  other('config.openservicemesh.io/v1alpha2', 'MeshRootCertificate', 'no provider', { provider: {} }, 'spec.provider'),
  other(
    'config.openservicemesh.io/v1alpha2',
    'MeshRootCertificate',
    'two providers',
    { provider: { tresor: { ca: { secretRef: { name: 'a', namespace: 'b' } } }, certManager: { issuerName: 'c' } } },
    'spec.provider',
  ),
  other(
    'config.openservicemesh.io/v1alpha2',
    'MeshRootCertificate',
    'the control plane’s own authority',
    { provider: { tresor: { ca: { secretRef: { name: 'osm-control-plane-ca', namespace: 'osm-system' } } } } },
    'spec.provider.tresor.ca.secretRef.name',
  ),
  other(
    'config.openservicemesh.io/v1alpha2',
    'MeshRootCertificate',
    'a private key as the token that Vault is shown',
    {
      provider: {
        vault: {
          ...{ host: 'vault', port: 8200, role: 'osm' },
          token: { secretKeyRef: { name: 'osm-ca-bundle', key: 'private.key', namespace: 'osm-system' } },
        },
      },
    },
    'spec.provider.vault.token.secretKeyRef.name',
  ),
  other('config.openservicemesh.io/v1alpha2', 'ExtensionService', 'no host', { port: 4317 }, 'spec.host'),
  policy(
    'Egress',
    'another kind of source',
    { sources: [{ ...account, kind: 'Pod' }], ports: [] },
    'spec.sources[0].kind',
  ),
  policy('Egress', 'no ports', { sources: [account] }, 'spec.ports'),
  policy(
    'IngressBackend',
    'a nameless source',
    { backends: [backend], sources: [{ kind: 'Service' }] },
    'spec.sources[0].name',
  ),
  policy(
    'Retry',
    'negative retries',
    { source: account, destinations: [], retryPolicy: { numRetries: -1 } },
    'spec.retryPolicy.numRetries',
  ),
  policy(
    'UpstreamTrafficSetting',
    'status 200 for refusals',
    { host: 'a.b', rateLimit: { local: { http: { requests: 1, unit: 'minute', responseStatusCode: 200 } } } },
    'spec.rateLimit.local.http.responseStatusCode',
  ),
  policy(
    'UpstreamTrafficSetting',
    'a limit a day',
    { host: 'a.b', rateLimit: { local: { tcp: { connections: 1, unit: 'day' } } } },
    'spec.rateLimit.local.tcp.unit',
  ),
  policy('Telemetry', 'a number for a label', { selector: { app: 1 } }, 'spec.selector.app'),
  other(
    'access.smi-spec.io/v1alpha3',
    'TrafficTarget',
    'no sources',
    { destination: account, rules: [] },
    'spec.sources',
  ),
  other(
    'access.smi-spec.io/v1alpha3',
    'TrafficTarget',
    'an unknown kind of rule',
    { destination: account, sources: [account], rules: [{ kind: 'GRPCRoute', name: 'a' }] },
    'spec.rules[0].kind',
  ),
  other(
    'specs.smi-spec.io/v1alpha4',
    'HTTPRouteGroup',
    'an unknown method',
    { matches: [{ name: 'a', methods: ['GET', 'FETCH'] }] },
    'spec.matches[0].methods[1]',
  ),
  other(
    'specs.smi-spec.io/v1alpha4',
    'HTTPRouteGroup',
    'a nameless match',
    { matches: [{ pathRegex: '/' }] },
    'spec.matches[0].name',
  ),
  other(
    'specs.smi-spec.io/v1alpha4',
    'TCPRoute',
    'a port too high',
    { matches: { ports: [70000] } },
    'spec.matches.ports[0]',
  ),
  split('a negative weight', { service: 'a', backends: [{ service: 'b', weight: -1 }] }, 'spec.backends[0].weight'),
  split('half a weight', { service: 'a', backends: [{ service: 'b', weight: 0.5 }] }, 'spec.backends[0].weight'),
  split('no backends', { service: 'a' }, 'spec.backends'),
  split('an empty service', { service: '', backends: [] }, 'spec.service'),
];
