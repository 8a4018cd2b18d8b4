/** The hand-written messages against the generated ones. */
import assert from 'node:assert/strict';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { CLUSTER, ENDPOINTS, LISTENER, ROUTES, SECRET, TYPES } from '#xds/cache/types.ts';
import { ClusterSchema } from '#xds/proto/gen/envoy/config/cluster/v3/cluster_pb.js';
import { ClusterLoadAssignmentSchema } from '#xds/proto/gen/envoy/config/endpoint/v3/endpoint_pb.js';
import { ListenerSchema } from '#xds/proto/gen/envoy/config/listener/v3/listener_pb.js';
import { RouteConfigurationSchema } from '#xds/proto/gen/envoy/config/route/v3/route_pb.js';
import { SecretSchema } from '#xds/proto/gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.js';
import {
  DeltaDiscoveryRequestSchema,
  DeltaDiscoveryResponseSchema,
} from '#xds/proto/gen/envoy/service/discovery/v3/discovery_pb.js';
import { decodeRequest, encodeResponse } from '#xds/server/wire.ts';
import { resource } from './support.ts';

describe('the wire form', () => {
  it('reads every field of a request that the server uses, and skips the rest', () => {
    const bytes = toBinary(
      DeltaDiscoveryRequestSchema,
      create(DeltaDiscoveryRequestSchema, {
        node: { id: 'ns/pod/uid', cluster: 'c', extensions: [{ name: 'x' }] },
        typeUrl: CLUSTER,
        resourceNamesSubscribe: ['a', 'b'],
        resourceNamesUnsubscribe: ['c'],
        initialResourceVersions: { a: '1', d: '2' },
        responseNonce: '7',
        errorDetail: { code: 13, message: 'no' },
        resourceLocatorsSubscribe: [{ name: 'x' }],
      }),
    );
    assert.deepEqual(decodeRequest(bytes), {
      type: CLUSTER,
      nodeId: 'ns/pod/uid',
      subscribe: ['a', 'b'],
      unsubscribe: ['c'],
      initialVersions: new Map([
        ['a', '1'],
        ['d', '2'],
      ]),
      nonce: '7',
      error: 'no',
    });
  });

  it('reads an empty request, and an error without words', () => {
    const bare = decodeRequest(new Uint8Array());
    assert.deepEqual([bare.type, bare.nodeId, bare.nonce, bare.error], ['', undefined, '', undefined]);
    const bytes = toBinary(
      DeltaDiscoveryRequestSchema,
      create(DeltaDiscoveryRequestSchema, { errorDetail: { code: 3 } }),
    );
    assert.equal(decodeRequest(bytes).error, 'no message');
  });

  it('throws on bytes that are no request', () => {
    assert.throws(() => decodeRequest(Buffer.from([0x0a, 0xff, 0xff])));
  });

  it('writes responses that the generated code reads back', () => {
    const a = resource(CLUSTER, 'a', 'x'.repeat(300));
    const b = resource(CLUSTER, 'b', 'y');
    const first = fromBinary(
      DeltaDiscoveryResponseSchema,
      encodeResponse({ type: CLUSTER, nonce: '9', resources: [a, b], removed: ['c', 'd'] }),
    );
    assert.equal(first.typeUrl, CLUSTER);
    assert.equal(first.nonce, '9');
    assert.deepEqual(first.removedResources, ['c', 'd']);
    assert.deepEqual(
      first.resources.map(({ name, version, resource: any }) => [
        name,
        version,
        any?.typeUrl,
        Buffer.from(any?.value ?? []).toString(),
      ]),
      [
        ['a', a.hash, CLUSTER, 'x'.repeat(300)],
        ['b', b.hash, CLUSTER, 'y'],
      ],
    );
    const again = encodeResponse({ type: CLUSTER, nonce: '10', resources: [b], removed: [] });
    assert.equal(fromBinary(DeltaDiscoveryResponseSchema, again).resources[0]?.name, 'b');
  });

  it('names the types as the descriptors do', () => {
    const names = [ClusterSchema, ClusterLoadAssignmentSchema, SecretSchema, ListenerSchema, RouteConfigurationSchema];
    assert.deepEqual(
      names.map(({ typeName }) => `type.googleapis.com/${typeName}`),
      [CLUSTER, ENDPOINTS, SECRET, LISTENER, ROUTES],
    );
    assert.equal(TYPES.length, names.length);
  });
});
