import assert from 'node:assert/strict';
import {
  afterTelling,
  due,
  eventOf,
  look,
  type Memory,
  type Pace,
  type Seen,
  settlesIn,
  untold,
} from '#controller/report.ts';
import type { Problem } from '#mesh/problem.ts';

const pace: Pace = { settleMs: 0, againMs: 30, refreshMs: 1000, retryMs: 60, atOnce: 100, most: 100 };

function seen(name: string, fields: Partial<Problem> = {}, identity: { uid?: string; version?: string } = {}): Seen {
  const problem: Problem = {
    key: 'split-backend-missing',
    object: { kind: 'TrafficSplit', namespace: 'shop', name },
    field: 'spec.backends[0].service',
    message: 'The mesh has no such service.',
    remedy: 'Create it.',
    ...fields,
  };
  const { uid = `uid-${name}`, version = '1' } = identity;
  const metadata = { namespace: 'shop', name, uid, resourceVersion: version };
  return { problem, subject: { apiVersion: 'split.smi-spec.io/v1alpha4', kind: 'TrafficSplit', metadata } };
}

/** One leader's rounds: what each tells, as `how name`. `refuses` names objects whose Events the API server refuses. */
function leader(options: Partial<Pace> = {}) {
  const own = { ...pace, ...options };
  let memory: Memory | undefined;
  return {
    round: (now: number, problems: readonly Seen[], refuses: readonly string[] = []): string[] => {
      memory = look(memory, problems, now, own);
      const telling = due(memory, now, own);
      const nameOf = (index: number): string => telling[index]?.event.regarding.metadata.name ?? '';
      const failed = telling.filter((_, index) => refuses.includes(nameOf(index))).map(({ identity }) => identity);
      memory = afterTelling(memory, telling, new Set(failed), now);
      return telling.map(({ how }, index) => `${how} ${nameOf(index)}`);
    },
    untold: () => untold(memory ?? new Map()),
    settlesIn: (now: number) => settlesIn(memory ?? new Map(), now, own),
  };
}

describe('what is told of problems', () => {
  it('is each problem once, however often it is seen', () => {
    const { round } = leader();
    assert.deepEqual(round(0, []), []);
    assert.deepEqual(round(1, [seen('a'), seen('a', { field: 'spec.service' })]), ['again a', 'again a']);
    assert.deepEqual(round(2, [seen('a'), seen('a', { field: 'spec.service' })]), []);
    assert.deepEqual(round(999, [seen('a'), seen('a', { field: 'spec.service' })]), []);
  });

  it('is nothing of a problem that passes, and each one that has stood for a moment', () => {
    const { round, settlesIn: left } = leader({ settleMs: 3 });
    round(0, []);
    assert.deepEqual(round(1, [seen('passing')]), []);
    assert.equal(left(1), 3);
    assert.deepEqual(round(3, [seen('passing'), seen('a')]), []);
    assert.equal(left(3), 1, 'the older one is the next');
    assert.deepEqual(round(3.9, [seen('a')]), [], 'it passed');
    assert.deepEqual(round(5.9, [seen('a')]), []);
    assert.deepEqual(round(6, [seen('a')]), ['again a']);
    assert.equal(left(6), undefined, 'nothing is to be waited for');
    assert.deepEqual(round(7, [seen('a'), seen('passing')]), [], 'what is back begins anew');
    assert.deepEqual(round(9.9, [seen('a'), seen('passing')]), []);
    assert.deepEqual(round(10, [seen('a'), seen('passing')]), ['again passing']);
  });

  it('waits for what a new leader finds too, and for what was told and is back', () => {
    const { round } = leader({ settleMs: 3 });
    assert.deepEqual(round(0, [seen('a')]), []);
    assert.deepEqual(round(3, [seen('a')]), ['once a']);
    round(20, []);
    assert.deepEqual(round(32, [seen('a')]), []);
    assert.deepEqual(round(34, [seen('a')]), [], 'the half minute is over, and it is two old');
    assert.deepEqual(round(35, [seen('a')]), ['again a']);
  });

  it('is left to the Event that is there, of problems that a new leader finds', () => {
    const { round } = leader();
    assert.deepEqual(round(0, [seen('a')]), ['once a']);
    assert.deepEqual(round(1, [seen('a'), seen('b')]), ['again b']);
  });

  it('is said again of a problem that was solved and is back, at most every half minute', () => {
    const { round } = leader();
    round(0, [seen('a')]);
    assert.deepEqual(round(10, []), []);
    assert.deepEqual(round(20, [seen('a')]), [], 'too soon after the last');
    assert.deepEqual(round(30, [seen('a')]), ['again a']);
    assert.deepEqual(round(31, [seen('a')]), []);
    round(70, []);
    assert.deepEqual(round(80, [seen('a')]), ['again a'], 'forgotten, and new');
  });

  it('is not said of a problem that came back and went again before its time', () => {
    const { round } = leader();
    round(0, [seen('a')]);
    round(10, []);
    round(20, [seen('a')]);
    assert.deepEqual(round(25, []), []);
    assert.deepEqual(round(40, []), []);
  });

  it('is said again now and then while the problem stands', () => {
    const { round } = leader();
    round(0, [seen('a')]);
    assert.deepEqual(round(1000, [seen('a')]), ['again a']);
    assert.deepEqual(round(1999, [seen('a')]), []);
    assert.deepEqual(round(2000, [seen('a')]), ['again a']);
  });

  it('is told anew of an object that was made again, and of other words', () => {
    const { round } = leader();
    round(0, [seen('a')]);
    assert.deepEqual(round(1, [seen('a', {}, { uid: 'another' })]), ['again a']);
    assert.deepEqual(round(2, [seen('a', { message: 'It is worse.' }, { uid: 'another' })]), ['again a']);
  });

  it('names the object as it is now', () => {
    const memory = look(look(undefined, [seen('a')], 0, pace), [seen('a', {}, { version: '7' })], 1, pace);
    assert.equal(due(memory, 1, pace)[0]?.event.regarding.metadata.resourceVersion, '7');
  });

  it('comes in bounded rounds, the latest first, and the untold before the told', () => {
    const { round, untold: left } = leader({ atOnce: 2 });
    const old = [seen('a', {}, { version: '9' }), seen('b', {}, { version: '10' }), seen('c', {}, { version: '8' })];
    assert.deepEqual(round(0, old), ['once b', 'once a']);
    assert.equal(left(), 1);
    assert.deepEqual(round(1, [...old, seen('d')]), ['again d', 'once c']);
    assert.equal(left(), 0);
    assert.deepEqual(round(1002, [...old, seen('d'), seen('e')]), ['again e', 'again b']);
    assert.deepEqual(round(1003, [...old, seen('d'), seen('e')]), ['again a', 'again d']);
    assert.deepEqual(round(1004, [...old, seen('d'), seen('e')]), ['again c']);
  });

  it('is no more problems than the limit, and counts the rest until there is room', () => {
    const { round, untold: left } = leader({ most: 2 });
    const all = ['a', 'b', 'c'].map((name) => seen(name));
    assert.equal(round(0, all).length, 2);
    assert.equal(left(), 1);
    assert.deepEqual(round(1, all), []);
    assert.deepEqual(round(2, all.slice(1)), ['once c']);
    assert.equal(left(), 0);
  });

  it('is tried again after a while when the API server refused it', () => {
    const { round, untold: left } = leader();
    assert.deepEqual(round(0, [seen('a'), seen('b')], ['a']), ['once a', 'once b']);
    assert.equal(left(), 1);
    assert.deepEqual(round(59, [seen('a'), seen('b')]), []);
    assert.deepEqual(round(60, [seen('a'), seen('b')]), ['once a']);
    assert.deepEqual(round(1000, [seen('a'), seen('b')], ['b']), ['again b'], 'a refused refresh');
    assert.deepEqual(round(1059, [seen('a'), seen('b')]), []);
    assert.deepEqual(round(1060, [seen('a'), seen('b')]), ['again b', 'again a']);
  });

  it('is a Warning on the object, with the key as reason and in the note', () => {
    const { problem, subject } = seen('a');
    assert.deepEqual(eventOf(problem, subject), {
      regarding: subject,
      fieldPath: 'spec.backends[0].service',
      type: 'Warning',
      reason: 'SplitBackendMissing',
      action: 'Compile',
      note: 'The mesh has no such service. Create it. (split-backend-missing, spec.backends[0].service)',
    });
    const whole = eventOf({ ...problem, field: '' }, subject);
    assert.match(whole.note, /\(split-backend-missing\)$/);
    assert.ok(!('fieldPath' in whole));
  });
});
