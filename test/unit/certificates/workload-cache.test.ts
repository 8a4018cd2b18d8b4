import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { Issuer } from '#certificates/issuer.ts';
import type { Account, WorkloadCertificate } from '#certificates/leaf.ts';
import { dueAt, isDue } from '#certificates/renewal.ts';
import { SecretBytes } from '#certificates/secret-bytes.ts';
import { createWorkloadCache, type WorkloadCache, type WorkloadCacheEvent } from '#certificates/workload-cache.ts';
import { createTestClock, settle, type TestClock } from './fixtures.ts';

const start = Date.UTC(2026, 0, 1);
const hour = 3_600_000;
const buyer: Account = { namespace: 'bookstore', name: 'buyer' };
const seller: Account = { namespace: 'bookstore', name: 'seller' };

/** An issuer whose every answer is in the test's hand: numbered certificates of one hour. */
interface TestIssuer extends Issuer {
  /** Names of the accounts asked for, in order. */
  readonly asked: string[];
  /** While true, asking fails. */
  broken: boolean;
  /** While true, answers wait for `release`. */
  holding: boolean;
  /** Says to who asked last what is waited for. */
  wait(error: unknown): void;
  release(): void;
}

function createTestIssuer(clock: TestClock, lifetimeMs = hour): TestIssuer {
  const asked: string[] = [];
  let held: (() => void)[] = [];
  let waiting: (error: unknown) => void = () => undefined;
  return {
    asked,
    broken: false,
    holding: false,
    wait: (error) => waiting(error),
    release() {
      for (const go of held.splice(0)) go();
      held = [];
    },
    async issueWorkload(account, onWaiting): Promise<WorkloadCertificate> {
      asked.push(account.name);
      waiting = onWaiting;
      const number = asked.length;
      if (this.holding) await new Promise<void>((resolve) => held.push(resolve));
      if (this.broken) throw new Error('the issuer is down');
      const now = clock.now();
      const fingerprint = `certificate ${number}`;
      const times = { notBefore: now - 60_000, notAfter: now + lifetimeMs };
      return {
        account,
        trustDomain: 't',
        chainPem: '',
        privateKey: new SecretBytes(''),
        serial: '',
        fingerprint,
        ...times,
      };
    },
  };
}

interface Setting {
  readonly clock: TestClock;
  readonly issuer: TestIssuer;
  readonly cache: WorkloadCache;
  readonly events: WorkloadCacheEvent[];
  /** Subscribes, and notes what it is told as `<who> <certificate>`. */
  readonly follow: (who: string, account: Account) => () => void;
  readonly told: string[];
}

function set(options: { lifetimeMs?: number; concurrency?: number; random?: () => number } = {}): Setting {
  const clock = createTestClock(start);
  const issuer = createTestIssuer(clock, options.lifetimeMs);
  const events: WorkloadCacheEvent[] = [];
  const told: string[] = [];
  const cache = createWorkloadCache({
    issuer,
    clock,
    random: options.random ?? (() => 0),
    onEvent: (event) => events.push(event),
    ...(options.concurrency === undefined ? {} : { concurrency: options.concurrency }),
  });
  const follow = (who: string, account: Account): (() => void) =>
    cache.subscribe(account, ({ fingerprint }) => told.push(`${who} ${fingerprint}`));
  return { clock, issuer, cache, events, told, follow };
}

describe('the workload cache', () => {
  it('issues one certificate an identity, however many ask at once', async () => {
    const { cache, issuer, told, follow } = set();
    follow('a', buyer);
    follow('b', buyer);
    follow('c', seller);
    assert.deepEqual(told, [], 'nobody is called before subscribe has returned');
    await settle();
    follow('d', buyer);
    await settle();
    assert.deepEqual(issuer.asked, ['buyer', 'seller']);
    assert.deepEqual(
      told.toSorted((a, b) => (a < b ? -1 : 1)),
      ['a certificate 1', 'b certificate 1', 'c certificate 2', 'd certificate 1'],
    );
    assert.equal(cache.current(buyer)?.fingerprint, 'certificate 1');
    cache.stop();
  });

  it('renews at two thirds of a life, or as much earlier as the draw says', async () => {
    for (const [draw, share] of [
      [0, 2 / 3],
      [0.99, 2 / 3 - 0.099],
    ] as const) {
      const { clock, cache, told, follow } = set({ random: () => draw });
      follow('a', buyer);
      await settle();
      clock.pass(hour * share - 1_000);
      await settle();
      assert.deepEqual(told, ['a certificate 1']);
      clock.pass(1_001);
      await settle();
      assert.deepEqual(told, ['a certificate 1', 'a certificate 2']);
      cache.stop();
    }
  });

  it('renews certificates of one minute in time, again and again', async () => {
    const { clock, cache, told, follow } = set({ lifetimeMs: 60_000 });
    follow('a', buyer);
    await settle();
    for (let second = 0; second < 180; second++) {
      clock.pass(1_000);
      await settle();
      const left = (cache.current(buyer)?.notAfter ?? 0) - clock.now();
      assert.ok(left >= 19_000, `${left} ms left after ${second} s`);
    }
    assert.equal(told.length, 1 + 4);
    cache.stop();
  });

  it('renews at once after the clock jumped forwards, and after it was set back', async () => {
    const { clock, cache, told, follow } = set();
    follow('a', buyer);
    await settle();
    clock.pass(48 * hour);
    await settle();
    assert.equal(told.length, 2);
    clock.pass(-72 * hour);
    await settle();
    assert.equal(told.length, 3);
    assert.ok((cache.current(buyer)?.notBefore ?? 0) < clock.now());
    cache.stop();
  });

  it('keeps the old certificate while the issuer is down, tries later each time, and says so', async () => {
    const { clock, cache, issuer, events, told, follow } = set();
    follow('a', buyer);
    await settle();
    issuer.broken = true;
    clock.pass(hour * 0.7);
    await settle();
    const tries = (): number => issuer.asked.length;
    assert.equal(tries(), 2);
    for (let ms = 0; ms < 120_000; ms += 1_000) {
      clock.pass(1_000);
      await settle();
    }
    assert.ok(tries() >= 8 && tries() <= 16, `${tries()} tries in two minutes`);
    assert.equal(cache.current(buyer)?.fingerprint, 'certificate 1');
    const failed = events.filter((event) => event.name === 'issue-failed');
    assert.deepEqual([failed[0]?.failures, failed[1]?.failures], [1, 2]);
    assert.equal(failed[0]?.expiresAt, start + hour);
    issuer.broken = false;
    clock.pass(31_000);
    await settle();
    assert.equal(told.length, 2);
    cache.stop();
  });

  it('forgets an identity with its last subscriber, also while it is being issued', async () => {
    const { clock, cache, issuer, told, follow } = set();
    const [leaveA, leaveB] = [follow('a', buyer), follow('b', buyer)];
    await settle();
    leaveA();
    assert.equal(cache.size, 1);
    leaveB();
    leaveB();
    assert.equal(cache.size, 0);
    assert.equal(cache.current(buyer), undefined);
    clock.pass(2 * hour);
    await settle();
    assert.equal(issuer.asked.length, 1, 'nothing is renewed for nobody');

    issuer.holding = true;
    const leave = follow('c', seller);
    await settle();
    leave();
    follow('d', seller); // another life of the same identity: it has a certificate of its own
    issuer.release();
    await settle();
    issuer.release();
    await settle();
    assert.deepEqual(told.slice(2), ['d certificate 3']);
    cache.stop();
  });

  it('asks for no more at once than it may', async () => {
    const { cache, issuer, told, follow } = set({ concurrency: 3 });
    issuer.holding = true;
    for (let index = 0; index < 10; index++) follow('x', { namespace: 'n', name: `account-${index}` });
    await settle();
    assert.equal(issuer.asked.length, 3);
    issuer.holding = false;
    issuer.release();
    await settle();
    assert.equal(told.length, 10);
    cache.stop();
  });

  it('issues everything anew when the issuer changes, in the middle of an issue too', async () => {
    const { clock, cache, issuer, told, follow } = set();
    follow('a', buyer);
    await settle();
    issuer.holding = true;
    follow('b', seller);
    await settle();
    const next = createTestIssuer(clock);
    cache.useIssuer(next);
    issuer.release();
    await settle();
    assert.deepEqual(next.asked.sort(), ['buyer', 'seller']);
    assert.equal(told.filter((line) => line.startsWith('a')).length, 2);
    assert.ok(['certificate 1', 'certificate 2'].includes(cache.current(seller)?.fingerprint ?? ''));
    cache.stop();
  });

  it('says of an issue that takes long what it waits for, until it is done', async () => {
    const { cache, issuer, events, told, follow } = set();
    issuer.holding = true;
    follow('a', buyer);
    await settle();
    assert.equal(cache.failing(), undefined);
    const error = new Error('nobody has looked at it');
    issuer.wait(error);
    assert.deepEqual(cache.failing(), { accounts: 1, error, expiresAt: undefined });
    assert.deepEqual(events, [{ name: 'issue-waits', account: buyer, error }], 'no try has failed');
    issuer.release();
    await settle();
    assert.equal(cache.failing(), undefined);
    assert.equal(told.length, 1);
    cache.stop();
  });

  it('asks the next issuer at once when the former one ends what was under way', async () => {
    const { clock, cache, issuer, events, told, follow } = set();
    issuer.holding = true;
    follow('a', buyer);
    await settle();
    issuer.wait(new Error('nobody has looked at it'));
    issuer.broken = true;
    const next = createTestIssuer(clock);
    cache.useIssuer(next);
    issuer.release();
    await settle();
    assert.deepEqual(next.asked, ['buyer']);
    assert.equal(told.length, 1);
    assert.equal(cache.failing(), undefined);
    assert.deepEqual(
      events.map(({ name }) => name),
      ['issue-waits', 'issued'],
      'that the former one failed is nothing to tell',
    );
    cache.stop();
  });

  it('goes on when a subscriber throws, and does nothing after stop', async () => {
    const { clock, cache, events, told, follow } = set();
    cache.subscribe(buyer, () => {
      throw new Error('faulty');
    });
    follow('b', buyer);
    await settle();
    assert.deepEqual(told, ['b certificate 1']);
    assert.ok(events.some((event) => event.name === 'listener-failed'));
    assert.equal(cache.earliestExpiry(), start + hour);
    cache.stop();
    assert.equal(clock.callers, 0);
  });
});

describe('renewal', () => {
  it('is due within the last third or the tenth before it, and never after the end (any life, any draw)', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 60_000, max: 10 * 365 * 24 * hour }),
        fc.double({ min: 0, max: 0.999, noNaN: true }),
        (life, spread) => {
          const renewal = { issuedAt: start, notBefore: start - 60_000, notAfter: start + life, spread };
          const share = (dueAt(renewal) - start) / life;
          assert.ok(share > 0.56 && share <= 2 / 3 + 1e-6, `${share}`);
          assert.equal(isDue(renewal, renewal.notAfter), true);
          assert.equal(isDue(renewal, start), false);
          assert.equal(isDue(renewal, renewal.notBefore - 1), true);
        },
      ),
    );
  });
});
