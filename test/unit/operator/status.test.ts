import assert from 'node:assert/strict';
import type { DesiredMesh, Observed, ObservedRotation } from '#operator/plan/observed.ts';
import { plan } from '#operator/plan/plan.ts';
import { type ConditionValue, conditionTypes, type Outcome, status } from '#operator/plan/status.ts';
import { isTrusting } from '#operator/plan/trust.ts';
import { accounts, applied, authority, now, observed, pem, rolledOut, serving, valid } from './fixtures.ts';

const done: Outcome = { kind: 'done' };

/** An installation that is complete, with the Deployments' status as given. */
function complete(injector: object = rolledOut(), changes: Partial<Observed> = {}): Observed {
  const available = applied(plan(valid(), observed({ managed: accounts })), 'Deployment', 'osm-injector', rolledOut());
  const planned = plan(valid(), observed({ managed: [...accounts, available] }));
  return observed({
    managed: [
      ...accounts,
      applied(planned, 'Deployment', 'osm-injector', injector),
      applied(planned, 'Deployment', 'osm-controller', rolledOut()),
      applied(planned, 'MutatingWebhookConfiguration', 'osm-webhook-osm'),
    ],
    ...changes,
  });
}

function conditionsOf(seen: Observed, desired: DesiredMesh = valid(), outcome: Outcome = done): ConditionValue[] {
  return status(desired, plan(desired, seen), seen, outcome);
}

function short(conditions: readonly ConditionValue[]): Record<string, string> {
  return Object.fromEntries(conditions.map(({ type, status: value, reason }) => [type, `${value} ${reason}`]));
}

const ready = {
  Ready: 'True MeshReady',
  Reconciling: 'False UpToDate',
  Stalled: 'False NotStalled',
  Accepted: 'True Valid',
  ControlPlaneAvailable: 'True Available',
  WebhookTrusted: 'True Trusted',
  CertificatesValid: 'True Valid',
  ControlPlaneCARotating: 'False NotRotating',
  WorkloadRootRotating: 'False Off',
};

/** How kstatus (cli-utils, `checkGenericProperties`) reads conditions. */
function kstatus(conditions: readonly ConditionValue[]): 'InProgress' | 'Failed' | 'Current' {
  const is = (type: string): boolean => conditions.some((one) => one.type === type && one.status === 'True');
  if (is('Reconciling')) return 'InProgress';
  return is('Stalled') ? 'Failed' : 'Current';
}

describe('operator/status', () => {
  it('is ready, and current to kstatus, when all is as asked for', () => {
    const conditions = conditionsOf(complete());
    assert.deepEqual(short(conditions), ready);
    assert.equal(kstatus(conditions), 'Current');
  });

  it('always says all nine, each with a sentence', () => {
    for (const seen of [observed(), complete(), observed({ controlPlaneCa: { kind: 'absent' } })]) {
      const conditions = conditionsOf(seen);
      assert.deepEqual(
        conditions.map(({ type }) => type),
        [...conditionTypes],
      );
      for (const { type, reason, message } of conditions) {
        assert.match(reason, /^[A-Z][A-Za-z]+$/, type);
        assert.match(message, /^\S.*[.;]$/, type);
      }
    }
  });

  const table: [string, ConditionValue[], Record<string, string>, string][] = [
    [
      'nothing deployed yet',
      conditionsOf(observed()),
      {
        Ready: 'False NotDeployed',
        Reconciling: 'True NotDeployed',
        ControlPlaneAvailable: 'False NotDeployed',
        WebhookTrusted: 'False WebhookMissing',
      },
      'InProgress',
    ],
    [
      'a new version rolling out beside pods that answer',
      conditionsOf(complete(rolledOut({ updatedReplicas: 1 }))),
      { Ready: 'False RollingOut', Reconciling: 'True RollingOut' },
      'InProgress',
    ],
    [
      'a Deployment just changed, of which its controller knows nothing yet',
      conditionsOf(complete(rolledOut({ observedGeneration: 0 }))),
      { Ready: 'False RollingOut', Reconciling: 'True RollingOut' },
      'InProgress',
    ],
    [
      'an old pod still ending',
      conditionsOf(complete(rolledOut({ replicas: 3 }))),
      { Ready: 'False RollingOut', Reconciling: 'True RollingOut' },
      'InProgress',
    ],
    [
      'a rollout that does not come on',
      conditionsOf(
        complete(
          rolledOut({
            updatedReplicas: 1,
            conditions: [
              { type: 'Available', status: 'True' },
              { type: 'Progressing', status: 'False', reason: 'ProgressDeadlineExceeded' },
            ],
          }),
        ),
      ),
      {
        Ready: 'False ProgressDeadlineExceeded',
        Reconciling: 'False Stalled',
        Stalled: 'True ProgressDeadlineExceeded',
      },
      'Failed',
    ],
    [
      'a serving certificate that expired',
      conditionsOf(
        complete(rolledOut(), {
          serving: {
            'osm-injector': serving('osm-injector', { notAfter: now }),
            'osm-controller': serving('osm-controller'),
          },
        }),
      ),
      {
        Ready: 'False ServingCertificateExpired',
        Reconciling: 'True ServingCertificateExpired',
        CertificatesValid: 'False ServingCertificateExpired',
      },
      'InProgress',
    ],
    [
      'an authority that cannot be read',
      conditionsOf(complete(rolledOut(), { workloadRoot: { kind: 'unreadable', message: 'Secret x: broken.' } })),
      {
        Ready: 'False AuthorityUnreadable',
        Reconciling: 'False Stalled',
        Stalled: 'True AuthorityUnreadable',
        CertificatesValid: 'False AuthorityUnreadable',
      },
      'Failed',
    ],
    [
      'a webhook that trusts another CA',
      conditionsOf(
        complete(rolledOut(), {
          controlPlaneCa: { kind: 'present', authority: { ...authority.authority, rootsPem: pem('NEW') } },
        }),
      ),
      {
        Ready: 'False CaBundleOutdated',
        Reconciling: 'True CaBundleOutdated',
        WebhookTrusted: 'False CaBundleOutdated',
      },
      'InProgress',
    ],
    [
      'an injector whose pods are available and whose Service does not answer yet',
      conditionsOf(complete(rolledOut(), { injectorAnswers: false })),
      {
        Ready: 'False InjectorUnreachable',
        Reconciling: 'True InjectorUnreachable',
        WebhookTrusted: 'False InjectorUnreachable',
      },
      'InProgress',
    ],
    [
      'a write that failed while the mesh works',
      conditionsOf(complete(), valid(), { kind: 'failed', message: 'PATCH: 503.' }),
      { Reconciling: 'True Retrying' },
      'InProgress',
    ],
    [
      'an object that the API server refuses',
      conditionsOf(complete(), valid(), { kind: 'rejected', object: 'Deployment/a/b', message: 'spec.x: bad.' }),
      {
        Ready: 'False ObjectRejected',
        Reconciling: 'False Stalled',
        Stalled: 'True ObjectRejected',
        Accepted: 'False ObjectRejected',
      },
      'Failed',
    ],
    [
      'a wrong MeshConfig over a mesh that works',
      conditionsOf(complete(), { kind: 'invalid', errors: [{ field: 'spec.sidecar.logLevel', message: 'is wrong.' }] }),
      {
        Ready: 'False InvalidSpec',
        Reconciling: 'False Stalled',
        Stalled: 'True InvalidSpec',
        Accepted: 'False InvalidSpec',
      },
      'Failed',
    ],
  ];
  for (const [name, conditions, differences, generic] of table) {
    it(name, () => {
      const actual = short(conditions);
      for (const [type, text] of Object.entries(differences)) assert.equal(actual[type], text, type);
      assert.equal(kstatus(conditions), generic);
    });
  }

  it('names the field of the MeshConfig that an object which the API server refuses is made from', () => {
    const stalled = (object: string) =>
      conditionsOf(complete(), valid(), { kind: 'rejected', object, message: 'bad.' }).find(
        ({ type }) => type === 'Stalled',
      );
    assert.equal(
      stalled('Deployment/osm-system/osm-injector')?.message,
      'spec.controlPlane.injector: the API server refuses Deployment/osm-system/osm-injector, which is made from it: bad.',
    );
    assert.equal(
      stalled('Service/osm-system/osm-injector')?.message,
      'The API server refuses Service/osm-system/osm-injector: bad.',
    );
  });

  describe('the rotation of the control-plane CA', () => {
    const hour = 3_600_000;
    const told = (rotation: Partial<ObservedRotation>, changes: Partial<Observed> = {}) => {
      const former = { former: ['old'], formerKeyUntil: undefined, trustedSince: undefined, switchedAt: undefined };
      const seen = complete(rolledOut(), {
        controlPlaneCa: {
          kind: 'present',
          authority: { ...authority.authority, rotation: { ...former, ...rotation } },
        },
        ...changes,
      });
      const conditions = conditionsOf(seen);
      assert.equal(short(conditions)['Ready'], 'True MeshReady', 'a rotation keeps nobody waiting');
      const { status: value, reason, message } = conditions.find(({ type }) => type === 'ControlPlaneCARotating') ?? {};
      return `${value} ${reason}: ${message}`;
    };
    const replica = (component: 'osm-injector' | 'osm-controller', pod: string, signer: string) => ({
      component,
      pod,
      signer,
    });

    it('is no reason to distrust the webhook while a root is added to it, or is still to be taken from it', () => {
      const verdict = (bundle: string, rootsPem: string, rotation?: Partial<ObservedRotation>) => {
        const none = { former: ['old'], formerKeyUntil: undefined, trustedSince: undefined, switchedAt: undefined };
        const full = rotation === undefined ? undefined : { ...none, ...rotation };
        return isTrusting(btoa(bundle), { ...authority.authority, rootsPem, rotation: full });
      };
      const [old, fresh] = [pem('OLD'), pem('NEW')];
      assert.equal(verdict(old, fresh + old, {}), true, 'begun');
      assert.equal(verdict(pem('X'), fresh + old, {}), false, 'begun, and holding neither');
      assert.equal(verdict(old, fresh + old, { trustedSince: now }), false, 'waiting');
      assert.equal(verdict(old, fresh + old, { trustedSince: now, switchedAt: now }), false, 'switched');
      assert.equal(verdict(`${fresh}\n${old}`, fresh), true, 'ended');
      assert.equal(verdict(old, fresh), false, 'another CA');
    });

    it('says until when there is none to do', () => {
      const message = conditionsOf(complete()).find(({ type }) => type === 'ControlPlaneCARotating')?.message;
      assert.equal(
        message,
        'The control-plane CA is valid until 2029-02-25T12:00:00Z; a new one takes over from 2028-03-28T20:00:00Z on, or when asked for.',
      );
    });

    it('says the step, and the time of the next one, in words that do not change by themselves', () => {
      assert.match(told({}), /^True AddingTrust: .*being added/);
      const waiting = told({ trustedSince: now - 1000 });
      assert.match(waiting, /^True WaitingToSwitch: .*it signs from 2026-06-01T12:59:59Z on\.$/);
      assert.equal(told({ trustedSince: now - 1000 }, { now: now + hour / 2 }), waiting);
      const retiring = told({ switchedAt: now });
      assert.match(retiring, /^True RetiringFormerCA: .*the former one stays trusted until 2026-06-02T12:00:00Z\.$/);
      assert.equal(told({ switchedAt: now }, { now: now + 5 * hour }), retiring);
    });

    it('names the replicas that hold it up', () => {
      const replicas = [
        replica('osm-injector', 'osm-injector-x', 'old'),
        replica('osm-injector', 'osm-injector-y', 'aa'),
      ];
      const message = told({ switchedAt: now }, { replicas });
      assert.match(
        message,
        /^True WaitingForReplicas: .* until these serve its certificates: osm-injector-x, osm-controller \(no pod answers\)\.$/,
      );
    });
  });

  it('keeps Ready while a failed write is tried again', () => {
    const conditions = conditionsOf(complete(), valid(), { kind: 'failed', message: 'PATCH: 503' });
    assert.equal(short(conditions)['Ready'], 'True MeshReady');
  });

  it('names every field that is wrong', () => {
    const errors = [
      { field: 'spec.sidecar.logLevel', message: 'must be one of …' },
      { field: 'spec.meshName', message: 'is too long' },
    ];
    const stalled = conditionsOf(observed(), { kind: 'invalid', errors }).find(({ type }) => type === 'Stalled');
    assert.equal(stalled?.message, 'spec.sidecar.logLevel: must be one of …; spec.meshName: is too long');
  });
});
