import assert from 'node:assert/strict';
import { type Condition, mergeConditions, sameConditions } from '#kubernetes/conditions.ts';

const first = Date.UTC(2026, 0, 1, 12, 0, 0, 900);
const later = first + 60_000;

function wanted(
  status: Condition['status'],
  reason = 'R',
  observedGeneration = 1,
): Omit<Condition, 'lastTransitionTime'> {
  return { type: 'Ready', status, reason, message: 'm', observedGeneration };
}

describe('conditions', () => {
  it('keep the time of their last transition while only reason, message or generation change', () => {
    const before = mergeConditions([], [wanted('False')], first);
    assert.equal(before[0]?.lastTransitionTime, '2026-01-01T12:00:00Z');
    const after = mergeConditions(before, [wanted('False', 'Other', 2)], later);
    assert.deepEqual(after, [{ ...wanted('False', 'Other', 2), lastTransitionTime: '2026-01-01T12:00:00Z' }]);
  });

  it('get a new time when their status changes', () => {
    const before = mergeConditions([], [wanted('False')], first);
    const after = mergeConditions(before, [wanted('True')], later);
    assert.equal(after[0]?.lastTransitionTime, '2026-01-01T12:01:00Z');
  });

  it('are sorted by type, and lose what is not wanted', () => {
    const both = [{ ...wanted('True'), type: 'Stalled' }, wanted('True')];
    const list = mergeConditions(mergeConditions([], [{ ...wanted('True'), type: 'Gone' }], first), both, first);
    assert.deepEqual(
      list.map((condition) => condition.type),
      ['Ready', 'Stalled'],
    );
  });

  it('are the same when they say the same, whenever and in whatever order', () => {
    const a = mergeConditions([], [wanted('True'), { ...wanted('False'), type: 'Stalled' }], first);
    const b = mergeConditions([], [{ ...wanted('False'), type: 'Stalled' }, wanted('True')], later).reverse();
    assert.equal(sameConditions(a, b), true);
    assert.equal(sameConditions(a, a.slice(1)), false);
    assert.equal(
      sameConditions(a, mergeConditions([], [wanted('True', 'Else'), { ...wanted('False'), type: 'Stalled' }], first)),
      false,
    );
  });
});
