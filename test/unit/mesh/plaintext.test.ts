/** The opt-in that takes plaintext from outside the mesh: who gets open ports, and what is said where that cannot be. */
import assert from 'node:assert/strict';
import { compile } from '#mesh/compile.ts';
import type { MeshObjects, NamespaceObject, PodObject } from '#mesh/objects.ts';
import { plaintextWorkloads } from '#mesh/plaintext.ts';
import { updateEndpoints } from '#mesh/update-endpoints.ts';
import { viewFor } from '#mesh/view-for.ts';
import { cluster, pod, port, proxy, service, slice } from './builders.ts';

const ANNOTATION = 'metadata.annotations[openservicemesh.io/accept-plaintext]';

function shop(acceptPlaintext: NamespaceObject['acceptPlaintext']): NamespaceObject {
  return { name: 'shop', monitored: true, acceptPlaintext };
}

function open(parts: Partial<MeshObjects>, of: PodObject) {
  return viewFor(compile(cluster(parts)).model, proxy(of)).inbound.plaintext;
}

function problemsOf(parts: Partial<MeshObjects>) {
  return compile(cluster(parts)).problems.map(({ key, object, field }) => [
    key,
    `${object.kind} ${object.namespace}/${object.name}`,
    field,
  ]);
}

describe('plaintext from outside the mesh', () => {
  const web = service('shop/web', { ports: [port(80, { targetPort: 8080 })] });

  const cases = [
    ['unset', 'unset', false],
    ['on', 'unset', true],
    ['off', 'unset', false],
    ['unreadable', 'unset', false],
    ['unset', 'on', true],
    ['off', 'on', true],
    ['on', 'off', false],
    ['on', 'unreadable', false],
  ] as const;
  for (const [namespace, own, expected] of cases) {
    it(`is ${expected ? 'taken' : 'refused'} where the namespace says ${namespace} and the pod ${own}`, () => {
      const of = pod('shop/web-1', 'web', { acceptPlaintext: own });
      const parts = { namespaces: [shop(namespace)], services: [web], pods: [of] };
      assert.deepEqual(open(parts, of), expected ? [{ targetPort: 8080, protocol: 'http' }] : []);
    });
  }

  it('is taken by no pod of a namespace that has left the mesh', () => {
    const of = pod('shop/web-1', 'web', { acceptPlaintext: 'on' });
    const namespaces = [{ ...shop('on'), monitored: false }];
    assert.deepEqual(open({ namespaces, services: [web], pods: [of] }, of), []);
  });

  it('leaves every chain of the mesh the same object', () => {
    const of = pod('shop/web-1', 'web');
    const objects = (said: NamespaceObject['acceptPlaintext']) =>
      cluster({ namespaces: [shop(said)], services: [web], pods: [of] });
    const before = compile(objects('off')).model;
    const after = compile(objects('on'), before).model;
    const [closed, opened] = [before, after].map((model) => viewFor(model, proxy(of)).inbound);
    assert.ok(closed !== undefined && opened !== undefined);
    assert.notEqual(opened.key, closed.key);
    assert.equal(opened.chains.length, 1);
    assert.equal(opened.chains[0], closed.chains[0]);
  });

  it('comes to the port that the pod itself means by a name', () => {
    const named = service('shop/web', { ports: [port(80, { targetPort: 'http' })] });
    const pods = [8080, 9090].map((http, index) =>
      pod(`shop/web-${index}`, 'web', { namedPorts: { http }, acceptPlaintext: 'on' }),
    );
    const opened = pods.map((of) => open({ services: [named], pods }, of).map(({ targetPort }) => targetPort));
    assert.deepEqual(opened, [[8080], [9090]]);
  });

  it('never reaches a port of the sidecar', () => {
    const targets = [15000, 15001, 15003, 15010, 15901, 15902, 15903, 15904, 15910, 15949, 15905, 15950];
    const sidecars = service('shop/web', {
      ports: targets.map((targetPort, index) => port(index + 1, { name: `http-${index}`, targetPort })),
    });
    const of = pod('shop/web-1', 'web', { acceptPlaintext: 'on' });
    assert.deepEqual(
      open({ services: [sidecars], pods: [of] }, of).map(({ targetPort }) => targetPort),
      [15905, 15950],
    );
  });

  it('stays refused on a server-first port, which is said once, on the Service', () => {
    const db = service('shop/db', {
      ports: [port(80), port(3306, { name: 'mysql', appProtocol: 'tcp-server-first' })],
    });
    const pods = ['1', '2'].map((name) => pod(`shop/db-${name}`, 'db', { acceptPlaintext: 'on' }));
    const parts = { services: [db], pods };
    assert.deepEqual(open(parts, pods[0]!), [{ targetPort: 80, protocol: 'http' }]);
    assert.deepEqual(problemsOf(parts), [['plaintext-server-first', 'Service shop/db', 'spec.ports[1]']]);
  });

  it('is of one kind on a port that several services share: the oldest’s, and the other is told', () => {
    const of = pod('shop/web-1', 'web', { acceptPlaintext: 'on' });
    const other = (protocol: string, created: string) =>
      service('shop/other', {
        selector: { app: 'web' },
        ports: [port(1, { targetPort: 8080, appProtocol: protocol })],
        created,
      });
    const shared = (protocol: string, created: string) => {
      const parts = { services: [web, other(protocol, created)], pods: [of] };
      return [open(parts, of).map(({ protocol: kind }) => kind), problemsOf(parts)];
    };
    const [younger, older] = ['2027-01-01T00:00:00Z', '2025-01-01T00:00:00Z'];
    const told = (key: string, name: string) => [[key, `Service shop/${name}`, 'spec.ports[0]']];
    assert.deepEqual(shared('grpc', younger), [['http'], []]);
    assert.deepEqual(shared('grpc', older), [['grpc'], []]);
    assert.deepEqual(shared('tcp', younger), [['http'], told('plaintext-port-conflict', 'other')]);
    assert.deepEqual(shared('tcp', older), [['tcp'], told('plaintext-port-conflict', 'web')]);
    assert.deepEqual(shared('tcp-server-first', younger), [['http'], told('plaintext-server-first', 'other')]);
    assert.deepEqual(shared('tcp-server-first', older), [
      [],
      [...told('plaintext-server-first', 'other'), ...told('plaintext-port-conflict', 'web')],
    ]);
  });

  it('says of a value that means nothing where it stands: on the namespace, and on one pod of a workload', () => {
    const pods = [
      ...['2', '1'].map((name) => pod(`shop/web-${name}`, 'web', { acceptPlaintext: 'unreadable' })),
      pod('shop/naked', 'naked', { acceptPlaintext: 'unreadable', meshed: false }),
    ];
    assert.deepEqual(problemsOf({ namespaces: [shop('unreadable')], services: [web], pods }), [
      ['plaintext-value-unknown', 'Namespace /shop', ANNOTATION],
      ['plaintext-value-unknown', 'Pod shop/web-1', ANNOTATION],
    ]);
  });

  it('is listed by workload, only where a port is open', () => {
    const pods = [
      ...['1', '2'].map((name) => pod(`shop/web-${name}`, 'web')),
      pod('shop/job', 'nobody'),
      pod('shop/closed', 'web', { acceptPlaintext: 'off', workload: { kind: 'Pod', name: 'closed' } }),
      pod('buy/web-1', 'web', { acceptPlaintext: 'on' }),
    ];
    const services = [web, service('buy/web', { ports: [port(80), port(81, { name: 'tcp' })] })];
    const namespaces = [shop('on'), { ...shop('unset'), name: 'buy' }];
    assert.deepEqual(plaintextWorkloads(compile(cluster({ namespaces, services, pods })).model), [
      { namespace: 'buy', kind: 'Deployment', name: 'web', pods: 1, ports: [80, 81] },
      { namespace: 'shop', kind: 'Deployment', name: 'web', pods: 2, ports: [8080] },
    ]);
  });

  it('stays as it is when endpoints come and go', () => {
    const of = pod('shop/web-1', 'web', { acceptPlaintext: 'on' });
    const { model } = compile(cluster({ services: [web], pods: [of] }));
    const slices = [slice(web, [of], false)];
    const update = updateEndpoints(model, { namespace: 'shop', service: 'web', slices });
    assert.ok(update.kind === 'endpoints');
    assert.equal(viewFor(update.model, proxy(of)).inbound, viewFor(model, proxy(of)).inbound);
    assert.equal(viewFor(update.model, proxy(of)).inbound.plaintext.length, 1);
  });
});
