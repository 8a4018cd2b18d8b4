import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import fc from 'fast-check';
import { parseAllDocuments } from 'yaml';
import { badManifests } from './bad-manifests.ts';
import { borderSpecs } from './border-manifests.ts';
import { durationMs } from '#crds/duration.ts';
import * as parsers from '#crds/parse.ts';

const parserOf: Readonly<Record<string, parsers.Parser<unknown>>> = {
  MeshConfig: parsers.parseMeshConfig,
  MeshRootCertificate: parsers.parseMeshRootCertificate,
  ExtensionService: parsers.parseExtensionService,
  Egress: parsers.parseEgress,
  IngressBackend: parsers.parseIngressBackend,
  Retry: parsers.parseRetry,
  UpstreamTrafficSetting: parsers.parseUpstreamTrafficSetting,
  Telemetry: parsers.parseTelemetry,
  TrafficTarget: parsers.parseTrafficTarget,
  HTTPRouteGroup: parsers.parseHttpRouteGroup,
  TCPRoute: parsers.parseTcpRoute,
  TrafficSplit: parsers.parseTrafficSplit,
};

const meshConfig = (spec: unknown) => ({
  apiVersion: 'config.openservicemesh.io/v1alpha2',
  kind: 'MeshConfig',
  metadata: { name: 'osm-mesh-config', namespace: 'osm-system' },
  spec,
});

const routeGroup = (headers: unknown) => ({
  apiVersion: 'specs.smi-spec.io/v1alpha4',
  kind: 'HTTPRouteGroup',
  metadata: { name: 'routes' },
  spec: { matches: [{ name: 'a', headers }] },
});

function valueOf<T>(result: parsers.ParseResult<T>): T {
  assert.ok(result.ok, JSON.stringify(result));
  return result.value;
}

function errorsOf(result: parsers.ParseResult<unknown>): readonly parsers.FieldError[] {
  assert.ok(!result.ok, JSON.stringify(result));
  return result.errors;
}

describe('crds: parsers', () => {
  for (const { name, object, field } of badManifests) {
    it(`refuse ${name}, naming ${field}`, () => {
      const parse = parserOf[object.kind];
      assert.ok(parse, object.kind);
      assert.deepEqual(
        errorsOf(parse(object)).map((error) => error.field),
        [field],
      );
    });
  }

  const examples = new URL('../../../crds/examples/', import.meta.url);
  for (const file of readdirSync(examples, { recursive: true, encoding: 'utf8' }).filter((one) =>
    one.endsWith('.yaml'),
  )) {
    it(`take examples/${file}, and read what they give the same again`, () => {
      const documents = parseAllDocuments(readFileSync(new URL(file, examples), 'utf8'));
      assert.ok(documents.length > 0);
      for (const document of documents) {
        const parse = parserOf[String(document.get('kind'))];
        assert.ok(parse, String(document.get('kind')));
        const value = valueOf(parse(document.toJS()));
        assert.deepEqual(valueOf(parse(value)), value);
      }
    });
  }

  for (const [name, spec] of Object.entries(borderSpecs)) {
    it(`take ${name}`, () => void valueOf(parsers.parseMeshConfig(meshConfig(spec))));
  }

  it('give every error at once', () => {
    const errors = errorsOf(
      parsers.parseMeshConfig(
        meshConfig({ sidecar: { localProxyMode: 'Pod' }, traffic: { outboundPortExclusionList: ['80'] } }),
      ),
    );
    assert.deepEqual(errors, [
      { field: 'spec.sidecar.localProxyMode', message: 'must be one of Localhost, PodIP' },
      { field: 'spec.traffic.outboundPortExclusionList[0]', message: 'must be integer' },
    ]);
  });

  it('fill in the defaults of an empty MeshConfig, and of one without spec, alike', () => {
    const { spec } = valueOf(parsers.parseMeshConfig(meshConfig({})));
    assert.equal(spec.meshName, 'osm');
    assert.equal(spec.controlPlane.controller.replicas, 2);
    assert.equal(spec.sidecar.tlsMinProtocolVersion, 'TLSv1_2');
    assert.equal(spec.sidecar.preStopSleep, undefined);
    assert.equal(spec.traffic.enablePermissiveTrafficPolicyMode, true);
    assert.equal(spec.traffic.applicationIdleTimeout, '2s');
    assert.equal(spec.certificate.trustDomain, 'cluster.local');
    assert.equal(spec.featureFlags.enableRetryPolicy, false);
    assert.deepEqual(valueOf(parsers.parseMeshConfig(meshConfig(undefined))).spec, spec);
  });

  it('fill in defaults inside lists', () => {
    const parsed = parsers.parseHttpRouteGroup(routeGroup(undefined));
    assert.deepEqual(valueOf(parsed).spec.matches, [{ name: 'a', pathRegex: '.*', headers: {} }]);
  });

  it('read a null as a field that was left out, as YAML has it when all below is commented out', () => {
    const { spec } = valueOf(parsers.parseMeshConfig(meshConfig({ traffic: null, sidecar: { resources: null } })));
    assert.equal(spec.traffic.enableEgress, true);
    assert.ok(!('resources' in spec.sidecar));
  });

  it('leave their argument as it was', () => {
    const object = meshConfig({ traffic: { enableEgress: false } });
    const before = structuredClone(object);
    valueOf(parsers.parseMeshConfig(object));
    assert.deepEqual(object, before);
  });

  it('refuse what is not their kind or version', () => {
    assert.equal(errorsOf(parsers.parseTrafficSplit(meshConfig({})))[0]?.field, 'kind');
    assert.equal(errorsOf(parsers.parseMeshConfig({ ...meshConfig({}), apiVersion: 'v1' }))[0]?.field, 'apiVersion');
    assert.equal(errorsOf(parsers.parseMeshConfig({ ...meshConfig({}), metadata: {} }))[0]?.field, 'metadata.name');
    assert.equal(errorsOf(parsers.parseMeshConfig('text'))[0]?.field, '');
    assert.equal(
      errorsOf(
        parsers.parseTcpRoute({ apiVersion: 'specs.smi-spec.io/v1alpha4', kind: 'TCPRoute', metadata: { name: 'a' } }),
      )[0]?.field,
      'spec',
    );
  });

  it('read every served version', () => {
    for (const version of ['v1alpha2', 'v1alpha3', 'v1alpha4']) {
      valueOf(
        parsers.parseTrafficSplit({
          apiVersion: `split.smi-spec.io/${version}`,
          kind: 'TrafficSplit',
          metadata: { name: 'a' },
          spec: { service: 'a', backends: [{ service: 'b', weight: 1 }] },
        }),
      );
    }
    valueOf(parsers.parseMeshConfig({ ...meshConfig({}), apiVersion: 'config.openservicemesh.io/v1alpha1' }));
  });

  it('accept IPv4 and IPv6 ranges', () => {
    const ranges = ['10.0.0.0/8', '0.0.0.0/0', '::/0', 'fd00::/8', '2001:db8::1/128', '::ffff:10.0.0.0/104'];
    valueOf(parsers.parseMeshConfig(meshConfig({ traffic: { outboundIPRangeExclusionList: ranges } })));
  });

  describe('headers of an HTTPRouteGroup', () => {
    const headersOf = (headers: unknown) =>
      valueOf(parsers.parseHttpRouteGroup(routeGroup(headers))).spec.matches[0]?.headers;

    it('are merged out of a list of maps', () => {
      assert.deepEqual(headersOf([{ 'User-Agent': 'a', x: 'b' }, { y: 'c' }]), { 'user-agent': 'a', x: 'b', y: 'c' });
    });
    it('are taken out of a map', () => {
      assert.deepEqual(headersOf({ 'User-Agent': 'a' }), { 'user-agent': 'a' });
    });
    it('keep the last expression of a name that comes twice', () => {
      assert.deepEqual(headersOf([{ X: 'first' }, { x: 'last' }]), { x: 'last' });
    });
    it('are refused in any other shape, with the place', () => {
      const fieldOf = (headers: unknown) => errorsOf(parsers.parseHttpRouteGroup(routeGroup(headers)))[0]?.field;
      assert.equal(fieldOf('a: b'), 'spec.matches[0].headers');
      assert.equal(fieldOf([{ a: 'b' }, 'c']), 'spec.matches[0].headers[1]');
      assert.equal(fieldOf([{ a: 1 }]), 'spec.matches[0].headers[0].a');
      assert.equal(fieldOf({ '': 'x' }), 'spec.matches[0].headers');
    });
  });
});

describe('crds: durations', () => {
  it('are read as Go reads them', () => {
    const cases: [string, number][] = [
      ['0', 0],
      ['0s', 0],
      ['2s', 2000],
      ['1h30m', 5_400_000],
      ['1.5h', 5_400_000],
      ['.5s', 500],
      ['100µs', 0.1],
      ['1m1ms', 60_001],
    ];
    for (const [text, ms] of cases) assert.equal(durationMs(text), ms, text);
  });
  it('are nothing without a unit, with a sign, or with a rest', () => {
    for (const text of ['', '5', 's', '-1s', '+1s', '1s ', '1d', '1h x', '1e3s']) {
      assert.equal(durationMs(text), undefined, text);
    }
  });
  it('are accepted by the schema exactly where they can be read', () => {
    const accepted = (text: string): boolean =>
      parsers.parseMeshConfig(meshConfig({ sidecar: { preStopSleep: text } })).ok;
    const piece = fc.constantFrom('1', '0', '.', '5', 's', 'm', 'h', 'ms', 'us', 'ns', '-', ' ');
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 8 }), (pieces) => {
        const text = pieces.join('');
        assert.equal(accepted(text), durationMs(text) !== undefined, JSON.stringify(text));
      }),
      { numRuns: 2000 },
    );
  });
});
