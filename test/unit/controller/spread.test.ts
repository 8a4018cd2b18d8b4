/** When certificates may lead to a root, by the clocks of one replica. */
import assert from 'node:assert/strict';
import { createAuthority } from '#certificates/ca.ts';
import { printsOf, type Trust } from '#certificates/trust.ts';
import { createSpread, type Sidecars } from '#controller/spread.ts';

const timing = { spreadMs: 5_000, longestSpreadMs: 90_000, reconnectMs: 30_000 };
const domain = 'cluster.local';

describe('controller/spread', () => {
  const at = Date.now();
  const allHold: Sidecars = { connected: 2, behind: [] };
  const oneIsBehind: Sidecars = { connected: 2, behind: ['shop/web-1'] };
  let former: Trust;
  let both: Trust;
  let now: number;
  let elapsed: number;

  before(async () => {
    const [one, two] = await Promise.all(
      ['former', 'next'].map((commonName) => createAuthority({ now: at, commonName })),
    );
    former = new Map([[domain, one?.rootsPem ?? '']]);
    both = new Map([[domain, `${one?.rootsPem}${two?.rootsPem}`]]);
  });
  beforeEach(() => {
    [now, elapsed] = [at, 0];
  });

  /** The former root signs, and the next one was given a moment ago. */
  function begun() {
    const spread = createSpread({ podName: 'here', now: () => now, elapsed: () => elapsed, timing });
    spread.look({ given: former, sidecars: allHold, others: [] });
    spread.begin(undefined);
    spread.look({ given: both, sidecars: oneIsBehind, others: [] });
    return {
      spread,
      isSpread: (): boolean => {
        spread.look({ given: both, sidecars: oneIsBehind, others: [] });
        return printsOf(spread.roots).get(domain)?.length === 2;
      },
    };
  }

  it('waits no longer for a sidecar that never acknowledges than it says', () => {
    const { spread, isSpread } = begun();
    assert.equal(spread.waitFor(both)?.until, at + 90_000);
    elapsed = 89_999;
    assert.equal(isSpread(), false);
    elapsed = 90_000;
    assert.equal(isSpread(), true);
  });

  it('takes a wall clock that is set forward for no acknowledgement', () => {
    const { isSpread } = begun();
    now += 3_600_000;
    assert.equal(isSpread(), false);
  });

  it('is not held up by one that is set back', () => {
    const { isSpread } = begun();
    now -= 3_600_000;
    elapsed = 90_000;
    assert.equal(isSpread(), true);
  });
});
