/** Nobody is nobody: an empty list of accounts must never read as "anybody", which is what Envoy makes of empty lists. */
import assert from 'node:assert/strict';
import type { Peers } from '#mesh/view.ts';
import { resourceJson } from '#test/support/static-config.ts';
import { inboundView, outboundView } from '#test/support/views.ts';
import { translateView } from '#xds/translate/translate.ts';

function tcpChain(allowed: Peers): string {
  const chain = {
    key: 'k',
    name: 'shop/db.1',
    targetPort: 1,
    sni: 'db',
    protocol: 'tcp',
    policy: { kind: 'tcp', allowed },
  } as const;
  const resources = translateView({ outbound: outboundView(), inbound: inboundView({ chains: [chain] }) });
  const listener = resources.find(({ name }) => name === 'inbound');
  assert.ok(listener);
  return JSON.stringify(resourceJson(listener));
}

describe('the peers of a TCP chain', () => {
  it('are nobody when no account is allowed: neither by certificate nor by RBAC', () => {
    const json = tcpChain({ kind: 'accounts', accounts: [] });
    assert.match(json, /"match_typed_subject_alt_names":\[\{"san_type":"URI","matcher":\{"exact":"osm:nobody"\}\}\]/);
    assert.match(json, /"rules":\{\}/);
  });

  it('are exactly the accounts, with dots escaped, by certificate and by RBAC', () => {
    const json = tcpChain({ kind: 'accounts', accounts: ['shop/a.b'] });
    const pattern = JSON.stringify('spiffe://[^/]+/ns/shop/sa/a\\.b');
    assert.equal(json.split(`"regex":${pattern}`).length - 1, 2, json);
  });

  it('are everybody of the mesh when the policy says so', () => {
    const json = tcpChain({ kind: 'any-mesh-identity' });
    assert.doesNotMatch(json, /match_typed_subject_alt_names/);
    assert.match(json, /"principals":\[\{"authenticated":\{\}\}\]/);
    assert.match(json, /"require_client_certificate":true/);
  });
});
