import assert from 'node:assert/strict';
import { nextStatus, sameStatus } from '#operator/status-object.ts';
import type { ConditionValue } from '#operator/plan/status.ts';

const made = { generation: 3, now: Date.UTC(2026, 0, 1), version: '2.0.0' };
const ready: ConditionValue = { type: 'Ready', status: 'True', reason: 'MeshReady', message: 'm' };
const ofTheController = {
  type: 'PoliciesAccepted',
  status: 'False',
  reason: 'ProblemsFound',
  message: 'm',
  observedGeneration: 2,
  lastTransitionTime: '2025-01-01T00:00:00Z',
} as const;

describe('the status that the operator writes', () => {
  const status = nextStatus(undefined, [ready], made);

  it('has nothing of the conditions that the controller writes, and does not change with them', () => {
    const stored = { ...status, conditions: [...status.conditions, ofTheController] };
    assert.ok(sameStatus(stored, status));
    assert.deepEqual(nextStatus(stored, [ready], made), status);
  });

  it('is written again when one of its own conditions, the generation or the version differs', () => {
    assert.ok(!sameStatus({ ...status, conditions: [] }, status));
    assert.ok(!sameStatus({ ...status, observedGeneration: 2 }, status));
    assert.ok(!sameStatus({ ...status, version: '1.0.0' }, status));
    assert.ok(!sameStatus(undefined, status));
  });
});
