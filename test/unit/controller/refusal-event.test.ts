import assert from 'node:assert/strict';
import { refusalEvent } from '#controller/refusal-event.ts';
import { CLUSTER, LISTENER, ROUTES, type TypeUrl } from '#xds/cache/types.ts';

const meshConfig = {
  apiVersion: 'config.openservicemesh.io/v1alpha2',
  kind: 'MeshConfig',
  metadata: { name: 'osm-mesh-config', namespace: 'osm-system', uid: 'u' },
};
const sidecar = { namespace: 'shop', pod: 'web-1' };
const keeps = 'and keeps the last good configuration.';

describe('the Event of a refusal', () => {
  const cases: [string, TypeUrl, string[], string][] = [
    ['no name', CLUSTER, [], `clusters (CDS) ${keeps}`],
    ['one name', LISTENER, ['inbound'], `listeners (LDS) inbound ${keeps}`],
    ['as many as are told', ROUTES, ['a', 'b', 'c'], `routes (RDS) a, b, c ${keeps}`],
    ['more than are told', CLUSTER, ['a', 'b', 'c', 'd', 'e'], `clusters (CDS) a, b, c and 2 more ${keeps}`],
  ];
  for (const [name, type, culprits, what] of cases) {
    it(`says who refused what, and Envoy's words: ${name}`, () => {
      const nack = { type, error: 'no such field', culprits: culprits.map((culprit) => ({ name: culprit })) };
      assert.deepEqual(refusalEvent(meshConfig, sidecar, nack), {
        regarding: meshConfig,
        type: 'Warning',
        reason: 'ConfigurationRefused',
        action: 'Configure',
        note: `The sidecar of shop/web-1 refused ${what} Envoy: no such field`,
      });
    });
  }
});
