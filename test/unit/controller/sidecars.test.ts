/** Which sidecars count as behind, with real streams. */
import assert from 'node:assert/strict';
import { createAuthority } from '#certificates/ca.ts';
import { noTrust, type Trust } from '#certificates/trust.ts';
import { sidecarsOf } from '#controller/sidecars.ts';
import { request, SHORT } from '#test/unit/xds-server/support.ts';
import { buildSnapshot } from '#xds/cache/snapshot.ts';
import type { DeltaResponse } from '#xds/server/messages.ts';
import { ProxyStream } from '#xds/server/stream.ts';
import { translateRoots } from '#xds/translate/translate.ts';

describe('controller/sidecars', () => {
  let former: Trust;
  let both: Trust;
  let sent: DeltaResponse[];
  let stream: ProxyStream;

  before(async () => {
    const roots = await Promise.all(
      ['former', 'next'].map(async (commonName) => (await createAuthority({ now: Date.now(), commonName })).rootsPem),
    );
    former = new Map([['cluster.local', roots[0] ?? '']]);
    both = new Map([['cluster.local', roots.join('')]]);
  });

  beforeEach(() => {
    sent = [];
    const proxy = { namespace: 'shop', pod: 'web-1', podUid: 'u', account: 'shop/web', accountUid: 'a' } as const;
    const write = (response: DeltaResponse): boolean => sent.push(response) > 0;
    stream = new ProxyStream(proxy, new Set(), {
      now: () => 0,
      acked: () => undefined,
      nacked: () => undefined,
      write,
    });
    stream.receive(request({ type: SHORT.sds, subscribe: ['roots'] }));
  });

  const give = (trust: Trust): void => stream.update(buildSnapshot(translateRoots(Object.fromEntries(trust))));
  const answer = (error?: string): void =>
    stream.receive(request({ type: SHORT.sds, nonce: sent.at(-1)?.nonce ?? assert.fail('nothing was sent'), error }));
  const behind = (given: Trust, now = 2_000): readonly string[] => sidecarsOf([stream], given, now).behind;

  it('is one that has not answered yet, until it acknowledges', () => {
    assert.deepEqual(behind(noTrust), ['shop/web-1'], 'nothing was made for it yet');
    give(former);
    assert.deepEqual(behind(former), ['shop/web-1']);
    answer();
    assert.deepEqual(behind(former), []);
    give(both);
    assert.deepEqual(behind(both), ['shop/web-1']);
    answer();
    assert.deepEqual(behind(both), []);
  });

  it('is one that refuses the roots: it keeps the former', () => {
    give(former);
    answer();
    give(both);
    answer('bad roots');
    assert.deepEqual(behind(both), ['shop/web-1']);
  });

  it('is none that has just connected', () => {
    assert.deepEqual(behind(former, 1_999), []);
    assert.equal(sidecarsOf([stream], former, 0).connected, 1);
  });
});
