/** Which endpoints a client is to prefer: hints of EndpointSlices by kube-proxy's rule, then zones. */
import assert from 'node:assert/strict';
import { compile } from '#mesh/compile.ts';
import { endpointsFor } from '#mesh/endpoints.ts';
import type { MeshModel } from '#mesh/model.ts';
import type { EndpointSliceObject } from '#mesh/objects.ts';
import { updateEndpoints } from '#mesh/update-endpoints.ts';
import { viewFor } from '#mesh/view-for.ts';
import { cluster, pod, proxy, service, SETTINGS, slice } from './builders.ts';

/** One endpoint: its pod is in `zone`; `hints` undefined is a ready endpoint without any. */
interface Endpoint {
  readonly zone: string;
  readonly hints?: readonly string[];
  readonly ready?: boolean;
}

const web = service('shop/web');
const client = pod('shop/client', 'client');

function meshOf(endpoints: readonly Endpoint[]): { model: MeshModel; slices: EndpointSliceObject[] } {
  const pods = endpoints.map((_, index) => pod(`shop/web-${index}`, 'web', { ips: [`10.0.0.${index}`] }));
  const slices = [sliceOf(endpoints)];
  const config = { ...SETTINGS, permissive: true };
  return {
    slices,
    model: compile(cluster({ services: [web], pods: [...pods, client], endpointSlices: slices, config })).model,
  };
}

function sliceOf(endpoints: readonly Endpoint[]): EndpointSliceObject {
  const pods = endpoints.map((_, index) => pod(`shop/web-${index}`, 'web', { ips: [`10.0.0.${index}`] }));
  const base = slice(web, pods);
  return {
    ...base,
    endpoints: base.endpoints.map((endpoint, index) => ({
      ...endpoint,
      zone: endpoints[index]?.zone,
      hintZones: endpoints[index]?.hints ?? [],
      ready: endpoints[index]?.ready ?? true,
    })),
  };
}

function assignmentOf(model: MeshModel, zone: string) {
  const found = viewFor(model, proxy(client)).outbound.clusters.find(({ service: name }) => name === 'web');
  assert.ok(found !== undefined);
  return endpointsFor(model, found, zone);
}

/** `priority zone/address…` of each locality. */
function seen(model: MeshModel, zone: string): string[] {
  return assignmentOf(model, zone).localities.map(
    ({ priority, zone: of, endpoints }) =>
      `${priority} ${of}/${endpoints.map(({ address }) => address.slice(-1)).join('')}`,
  );
}

describe('endpoints by hints and zones', () => {
  const cases: readonly [string, readonly Endpoint[], string, readonly string[]][] = [
    [
      'hints come before zones, and may split a zone',
      [
        { zone: 'a', hints: ['a'] },
        { zone: 'a', hints: ['b'] },
        { zone: 'b', hints: ['b', 'c'] },
      ],
      'b',
      ['0 a/1', '0 b/2', '1 a/0'],
    ],
    [
      'hints serve a zone that has no endpoint of its own',
      [
        { zone: 'a', hints: ['a', 'c'] },
        { zone: 'b', hints: ['b'] },
      ],
      'c',
      ['0 a/0', '1 b/1'],
    ],
    [
      'one ready endpoint without hints, and none counts',
      [{ zone: 'a', hints: ['b'] }, { zone: 'b' }, { zone: 'b', hints: ['a'] }],
      'a',
      ['0 a/0', '1 b/12'],
    ],
    [
      'one without hints that is not ready does not matter',
      [
        { zone: 'a', hints: ['b'] },
        { zone: 'b', ready: false },
        { zone: 'b', hints: ['a'] },
      ],
      'a',
      ['0 b/2', '1 a/0'],
    ],
    [
      'hints that name other zones only are ignored: the client’s own zone comes first',
      [
        { zone: 'a', hints: ['b'] },
        { zone: 'b', hints: ['b'] },
      ],
      'a',
      ['0 a/0', '1 b/1'],
    ],
    [
      'without endpoint or hint for its zone, all are equal',
      [
        { zone: 'a', hints: ['a'] },
        { zone: 'b', hints: ['b'] },
      ],
      'c',
      ['0 a/0', '0 b/1'],
    ],
    [
      'a client whose zone is not known prefers none',
      [
        { zone: '', hints: [''] },
        { zone: 'b', hints: ['b'] },
      ],
      '',
      ['0 /0', '0 b/1'],
    ],
  ];
  for (const [title, endpoints, zone, expected] of cases) {
    it(title, () => assert.deepEqual(seen(meshOf(endpoints).model, zone), expected));
  }

  it('clients of zones that see the same share one object, others have their own', () => {
    const { model } = meshOf([
      { zone: 'a', hints: ['a'] },
      { zone: 'b', hints: ['b'] },
    ]);
    assert.equal(assignmentOf(model, 'c'), assignmentOf(model, 'd'));
    assert.notEqual(assignmentOf(model, 'a'), assignmentOf(model, 'b'));
    assert.deepEqual(seen(model, 'a'), ['0 a/0', '1 b/1']);
    assert.deepEqual(seen(model, 'b'), ['0 b/1', '1 a/0']);
  });

  it('hints that change take the short path, and give what a compile gives', () => {
    const { model } = meshOf([{ zone: 'a' }, { zone: 'b' }]);
    assert.deepEqual(seen(model, 'a'), ['0 a/0', '1 b/1']);
    const hinted = [
      { zone: 'a', hints: ['b'] },
      { zone: 'b', hints: ['a'] },
    ];
    const update = updateEndpoints(model, { namespace: 'shop', service: 'web', slices: [sliceOf(hinted)] });
    assert.equal(update.kind, 'endpoints');
    assert.deepEqual(seen(update.kind === 'endpoints' ? update.model : model, 'a'), ['0 b/1', '1 a/0']);
    assert.deepEqual(seen(meshOf(hinted).model, 'a'), ['0 b/1', '1 a/0']);
  });
});
