/** What a server keeps of its inbound side when the model takes it away. */
import assert from 'node:assert/strict';
import { type Leaving, withLeaving } from '#controller/leaving.ts';
import type { InboundChain, InboundView } from '#mesh/view.ts';
import { httpChain, inboundRoute, inboundView } from '#test/support/views.ts';

const FOR = 1000;
const ANYBODY = inboundRoute('.*', { kind: 'any-mesh-identity' });
const NOBODY = inboundRoute('.*', { kind: 'accounts', accounts: [] });

function chain(service: string, domains: readonly string[], route = ANYBODY): InboundChain {
  const made = httpChain(service, 80, [route]);
  if (made.policy.kind !== 'http') assert.fail();
  const key = `${service} ${domains.join()} ${JSON.stringify(route)}`;
  return { ...made, key, policy: { kind: 'http', routes: { ...made.policy.routes, key, domains } } };
}

function view(...chains: InboundChain[]): InboundView {
  return inboundView({ key: chains.map(({ key }) => key).join(' '), chains });
}

/** `service: domains` of each chain. */
function shown({ chains }: InboundView): string[] {
  return chains.map(({ sni, policy }) => {
    const domains = policy.kind === 'http' ? policy.routes.domains : [];
    return `${sni.split('.')[0]}: ${domains.join(' ')}`;
  });
}

describe('what leaves a server', () => {
  const both = view(chain('api', ['api', 'apex']), chain('old', ['old']));
  const one = view(chain('api', ['api']));
  const at = (now: number, leaving: Leaving = new Map()) => ({ now, leaving, forMs: FOR });

  it('stays for its time, chains and host names alike', () => {
    const first = withLeaving(one, both, at(0));
    assert.deepEqual(shown(first.inbound), ['api: api apex', 'old: old']);
    const later = withLeaving(one, first.inbound, at(FOR - 1, first.leaving));
    assert.deepEqual(shown(later.inbound), ['api: api apex', 'old: old']);
    assert.equal(later.inbound.key, first.inbound.key, 'nothing to send meanwhile');
    const end = withLeaving(one, later.inbound, at(FOR, later.leaving));
    assert.equal(end.inbound, one);
  });

  it('does not begin anew when it was looked at without being taken away', () => {
    const first = withLeaving(one, both, at(0));
    const ended = withLeaving(one, first.inbound, at(FOR, first.leaving));
    const again = withLeaving(one, first.inbound, at(FOR + 1, ended.leaving));
    assert.equal(again.inbound, one);
    assert.equal(withLeaving(one, one, at(FOR + 2, again.leaving)).leaving.size, 0);
  });

  it('has a time of its own for each part', () => {
    const first = withLeaving(view(chain('api', ['api', 'apex'])), both, at(0));
    const second = withLeaving(one, first.inbound, at(600, first.leaving));
    const third = withLeaving(one, second.inbound, at(FOR, second.leaving));
    assert.deepEqual(shown(third.inbound), ['api: api apex'], 'the chain began to leave earlier than the name');
  });

  it('goes by the new policy where the chain stays', () => {
    const narrowed = view(chain('api', ['api'], NOBODY));
    const { inbound } = withLeaving(narrowed, both, at(0));
    const [api] = inbound.chains;
    if (api?.policy.kind !== 'http') assert.fail();
    assert.deepEqual(api.policy.routes.routes, [NOBODY]);
    assert.deepEqual(api.policy.routes.domains, ['api', 'apex']);
  });

  it('makes way for a chain of the same name, or for the same target port and server name', () => {
    const [api] = both.chains;
    assert.ok(api);
    const renamed = view({ ...api, name: 'shop/other.80', key: 'renamed' });
    assert.equal(withLeaving(renamed, view(api), at(0)).inbound, renamed);
  });

  it('is nothing when the view only grew', () => {
    assert.deepEqual(withLeaving(both, one, at(0)), { inbound: both, leaving: new Map() });
  });
});
