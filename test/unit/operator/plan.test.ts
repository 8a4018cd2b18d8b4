import assert from 'node:assert/strict';
import type { ManagedObject, Observed } from '#operator/plan/observed.ts';
import { plan } from '#operator/plan/plan.ts';
import { nativeSidecars } from '#operator/plan/settings.ts';
import {
  account,
  accounts,
  applied,
  day,
  line,
  namespace,
  now,
  observed,
  rolledOut,
  serving,
  valid,
} from './fixtures.ts';

const lines = (desired: Parameters<typeof plan>[0], seen: Observed): string[] => plan(desired, seen).steps.map(line);
const webhooks = (all: readonly string[]): string[] => all.filter((text) => text.includes('Webhook'));

/** Everything that a mesh consists of, as the server would store it. */
function running(changes: Partial<Observed> = {}): Observed {
  const first = plan(valid(), observed({ managed: accounts }));
  const deployments = ['osm-injector', 'osm-controller'].map((name) => applied(first, 'Deployment', name, rolledOut()));
  const second = plan(valid(), observed({ managed: [...accounts, ...deployments] }));
  const managed = second.steps.flatMap((step): ManagedObject[] => {
    if (step.kind !== 'apply') return [];
    return [
      applied(
        second,
        step.object.kind,
        step.object.metadata.name,
        step.object.kind === 'Deployment' ? rolledOut() : {},
      ),
    ];
  });
  return observed({ managed, ...changes });
}

describe('operator/plan', () => {
  it('does nothing without the owner ClusterRole, whatever else there is', () => {
    const planned = plan(valid(), running({ owner: undefined }));
    assert.equal(planned.reason.key, 'owner-missing');
    assert.deepEqual(planned.steps, []);
  });

  it('does nothing on a fresh install, and leaves its guard as shipped', () => {
    const planned = plan({ kind: 'absent' }, observed({ guard: undefined }));
    assert.equal(planned.reason.key, 'no-mesh');
    assert.deepEqual(planned.steps, []);
  });

  it('arms the guard and makes the authorities before anything else', () => {
    const absent = { kind: 'absent' } as const;
    const seen = observed({ guard: undefined, controlPlaneCa: absent, workloadRoot: absent });
    assert.deepEqual(lines(valid(), seen), ['guard armed', 'make-ca control-plane', 'make-ca workload']);
  });

  it('makes the roots that MeshRootCertificates name, but for the one that it makes anyway', () => {
    const named = (name: string, authority: string | undefined, ...secrets: string[]) => ({
      ...{ name, authority, secrets },
      role: 'active' as const,
    });
    const rootCertificates = [
      named('b', 'root-b', 'root-b'),
      named('a', 'osm-ca-bundle', 'osm-ca-bundle'),
      named('vault', undefined, 'vault-token', 'vault-ca'),
    ];
    const steps = plan(valid(), running({ rootCertificates })).steps;
    assert.deepEqual(
      steps.map(line).filter((text) => text.startsWith('make-root')),
      ['make-root root-b'],
    );
    const role = steps.find((step) => step.kind === 'apply' && step.object.kind === 'Role');
    const rules = role?.kind === 'apply' ? role.object['rules'] : undefined;
    assert.deepEqual(rules, [
      { apiGroups: [''], resources: ['secrets'], resourceNames: ['root-b', 'vault-ca', 'vault-token'], verbs: ['get'] },
    ]);
    assert.ok(!plan(valid(), running()).steps.some((step) => step.kind === 'apply' && step.object.kind === 'Role'));
  });

  it('lets the controller write the ingress gateway’s Secret, once its namespace is there, and no longer than that is asked for', () => {
    const ingressGateway = {
      subjectAltNames: ['gateway.example.com'],
      validityDuration: '24h',
      secret: { name: 'osm-gateway', namespace: 'edge' },
    };
    const asked = valid({ certificate: { ingressGateway } });
    const edge = (changes: object = {}) => ({
      namespaces: [...observed().namespaces, namespace('edge', { monitoredBy: undefined, ...changes })],
    });
    const roles = (seen: Partial<Observed>, desired = asked): string[] =>
      lines(desired, running(seen)).filter((text) => text.includes('osm-controller-gateway'));
    assert.deepEqual(roles({}), []);
    const secret = { name: 'osm-controller-tls', namespace: 'osm-system' };
    const reserved = valid({ certificate: { ingressGateway: { ...ingressGateway, secret } } });
    assert.deepEqual(roles({}, reserved), []);
    const home = valid({
      certificate: { ingressGateway: { ...ingressGateway, secret: { ...secret, name: 'gateway' } } },
    });
    assert.equal(roles({}, home).length, 1, 'in the control plane’s namespace too');
    assert.deepEqual(roles(edge({ terminating: true })), []);
    const granted = ['Role', 'RoleBinding'].map((kind) => `${kind} edge/osm-controller-gateway`);
    const rbac = { apiVersion: 'rbac.authorization.k8s.io/v1' };
    const grant = (ageMs: number) => ({
      ...{ ...rbac, kind: 'RoleBinding' },
      metadata: {
        ...{ name: 'osm-operator-gateway', namespace: 'edge' },
        creationTimestamp: new Date(now - ageMs).toISOString(),
      },
    });
    // The operator takes what it grants, gives API servers two seconds to learn of it, and makes the Role then.
    const beginning = plan(asked, running(edge()));
    assert.ok(beginning.steps.map(line).includes('apply RoleBinding edge/osm-operator-gateway'));
    assert.deepEqual(roles(edge()), [`apply ${granted[1]}`]);
    const early = { ...edge(), managed: [...running().managed, grant(500)] };
    assert.deepEqual(roles(early), [`apply ${granted[1]}`]);
    assert.equal(plan(asked, running(early)).requeueAfter, 1_500);
    const late = { ...edge(), managed: [...running().managed, grant(2_000)] };
    assert.deepEqual(
      roles(late),
      granted.map((ref) => `apply ${ref}`),
    );
    const made = (name: string) => [
      ...running().managed,
      grant(5_000),
      ...['Role', 'RoleBinding'].map((kind) => ({
        ...rbac,
        kind,
        metadata: { name: 'osm-controller-gateway', namespace: 'edge' },
        rules: [{ apiGroups: [''], resources: ['secrets'], resourceNames: [name], verbs: ['get'] }],
      })),
    ];
    const managed = made('osm-gateway');
    assert.deepEqual(
      roles({ ...edge(), managed }),
      granted.map((ref) => `apply ${ref}`),
    );
    // The Secret goes with its Role: for another one the Role is made anew, in the pass after this.
    assert.deepEqual(roles({ ...edge(), managed: made('former') }), [`apply ${granted[1]}`, `delete ${granted[0]}`]);
    assert.deepEqual(
      roles({ ...edge(), managed }, valid()).toSorted(),
      granted.map((ref) => `delete ${ref}`).toSorted(),
    );
  });

  it('never replaces an authority that it cannot read', () => {
    const seen = observed({ workloadRoot: { kind: 'unreadable', message: 'Secret osm-ca-bundle: broken' } });
    const planned = plan(valid(), seen);
    assert.equal(planned.reason.key, 'ca-unreadable');
    assert.deepEqual(planned.steps, []);
  });

  it('arms a guard that an earlier removal released', () => {
    assert.equal(lines(valid(), observed({ guard: 'released' }))[0], 'guard armed');
  });

  it('orders: certificates, trust, a check, the control plane; no webhook before the injector answers', () => {
    const seen = observed({ managed: accounts, serving: { 'osm-injector': undefined, 'osm-controller': undefined } });
    const planned = plan(valid(), seen);
    assert.equal(planned.reason.key, 'waiting-for-injector');
    assert.deepEqual(planned.steps.map(line), [
      'issue osm-injector: serving-certificate-missing',
      'issue osm-controller: serving-certificate-missing',
      'apply ConfigMap bookstore/osm-trust',
      'check 11',
      'apply ServiceAccount osm-system/osm-injector',
      'apply ClusterRoleBinding osm-injector',
      'apply Service osm-system/osm-injector',
      'apply Deployment osm-system/osm-injector',
      'apply PodDisruptionBudget osm-system/osm-injector',
      'apply ServiceAccount osm-system/osm-controller',
      'apply ClusterRoleBinding osm-controller',
      'apply Service osm-system/osm-controller',
      'apply Deployment osm-system/osm-controller',
      'apply PodDisruptionBudget osm-system/osm-controller',
      'apply RoleBinding osm-system/osm-controller',
    ]);
  });

  it('applies the webhooks, last, when the injector is available', () => {
    const all = lines(valid(), running());
    assert.deepEqual(all.slice(-2), [
      'apply MutatingWebhookConfiguration osm-webhook-osm',
      'apply ValidatingWebhookConfiguration osm-validator-osm',
    ]);
  });

  it('keeps the webhooks when the injector goes away: pods are refused, not started naked', () => {
    const down = running();
    const managed = down.managed.map((object) =>
      object.metadata.name === 'osm-injector' && object.kind === 'Deployment'
        ? { ...object, status: { observedGeneration: 1, replicas: 2 } }
        : object,
    );
    assert.equal(webhooks(lines(valid(), observed({ managed }))).filter((text) => text.startsWith('apply')).length, 2);
  });

  it('plans no change of membership when nothing changed: every object is applied as it is, none deleted', () => {
    const planned = plan(valid(), running());
    assert.deepEqual(
      planned.steps.filter((step) => step.kind === 'delete'),
      [],
    );
    assert.deepEqual(
      planned.steps.filter((step) => step.kind === 'issue'),
      [],
    );
  });

  it('follows a new mesh name: new webhooks and trust, the old ones pruned', () => {
    const all = lines(valid({ meshName: 'another' }), running());
    assert.ok(all.includes('apply ConfigMap other/osm-trust'));
    assert.deepEqual(
      all.filter((text) => text.startsWith('delete')),
      [
        'delete ConfigMap bookstore/osm-trust',
        'delete MutatingWebhookConfiguration osm-webhook-osm',
        'delete ValidatingWebhookConfiguration osm-validator-osm',
      ],
    );
    assert.ok(all.includes('apply MutatingWebhookConfiguration osm-webhook-another'));
  });

  it('drops the budget of a component with one replica', () => {
    const all = lines(valid({ controlPlane: { injector: { replicas: 1 } } }), running());
    assert.deepEqual(
      all.filter((text) => text.startsWith('delete')),
      ['delete PodDisruptionBudget osm-system/osm-injector'],
    );
  });

  it('trusts in each namespace of the mesh that is not ignored, not ending and not its own', () => {
    const namespaces = [
      namespace('b'),
      namespace('a'),
      namespace('ignored', { ignored: true }),
      namespace('ending', { terminating: true }),
      namespace('osm-system'),
      namespace('none', { monitoredBy: undefined }),
    ];
    const trust = lines(valid(), observed({ namespaces })).filter((text) => text.includes('osm-trust'));
    assert.deepEqual(trust, ['apply ConfigMap a/osm-trust', 'apply ConfigMap b/osm-trust']);
  });

  it('removes: webhooks, then the guard is released, then Deployments, then the rest', () => {
    const all = lines({ kind: 'absent' }, running());
    assert.deepEqual(all.slice(0, 5), [
      'delete MutatingWebhookConfiguration osm-webhook-osm',
      'delete ValidatingWebhookConfiguration osm-validator-osm',
      'guard released',
      'delete Deployment osm-system/osm-injector',
      'delete Deployment osm-system/osm-controller',
    ]);
    assert.ok(all.slice(5).every((text) => text.startsWith('delete')));
  });

  it('ends a removal that an operator before it left half done', () => {
    assert.deepEqual(lines({ kind: 'absent' }, observed()), ['guard released']);
    assert.deepEqual(lines({ kind: 'absent' }, observed({ guard: 'released' })), []);
  });

  it('leaves a mesh alone whose MeshConfig is wrong, but renews its certificates and serves its new namespaces', () => {
    const seen = running({
      namespaces: [namespace('bookstore'), namespace('new')],
      serving: {
        'osm-injector': serving('osm-injector', { notAfter: now + day, notBefore: now - 29 * day }),
        'osm-controller': serving('osm-controller'),
      },
    });
    const planned = plan({ kind: 'invalid', errors: [{ field: 'spec.x', message: 'is wrong' }] }, seen);
    assert.equal(planned.reason.key, 'invalid-mesh-config');
    assert.deepEqual(planned.steps.map(line), [
      'issue osm-injector: serving-certificate-due',
      'apply ConfigMap bookstore/osm-trust',
      'apply ConfigMap new/osm-trust',
    ]);
  });

  describe('the accounts of running pods', () => {
    const uidsIn = (seen: Observed): Record<string, unknown> => {
      const deployments = plan(valid(), seen).steps.flatMap((step) =>
        step.kind === 'apply' && step.object.kind === 'Deployment' ? [step.object] : [],
      );
      return Object.fromEntries(
        deployments.map(({ metadata, spec }) => {
          const { template } = spec as { template: { metadata: { annotations: Record<string, string> } } };
          return [metadata.name, template.metadata.annotations['openservicemesh.io/service-account-uid']];
        }),
      );
    };
    const [injector, controller] = ['osm-injector', 'osm-controller'] as const;
    const steady = { [injector]: 'uid-of-osm-injector', [controller]: 'uid-of-osm-controller' };
    const cases: [string, Observed, Record<string, unknown>][] = [
      ['none made yet: no Deployment, since its pods would be replaced by the next pass', observed(), {}],
      ['one made: that Deployment alone', observed({ managed: [account(injector)] }), { [injector]: steady[injector] }],
      ['both made', observed({ managed: accounts }), steady],
      ['in a steady mesh', running(), steady],
      [
        'made again: its pods are replaced, the others stay',
        withAccount(account(controller, 'new')),
        {
          ...steady,
          [controller]: 'new',
        },
      ],
      [
        'gone: its Deployment stays as it is until the account is back',
        withAccount(undefined),
        {
          [injector]: steady[injector],
        },
      ],
    ];
    /** A steady mesh with another account of the controller, or none. */
    function withAccount(changed: ManagedObject | undefined): Observed {
      const others = running().managed.filter(
        ({ kind, metadata }) => kind !== 'ServiceAccount' || metadata.name !== controller,
      );
      return observed({ managed: [...others, ...(changed === undefined ? [] : [changed])] });
    }
    for (const [name, seen, expected] of cases) it(name, () => assert.deepEqual(uidsIn(seen), expected));

    it('gone: is made again, and nothing is deleted', () => {
      const all = lines(valid(), withAccount(undefined));
      assert.ok(all.includes('apply ServiceAccount osm-system/osm-controller'));
      assert.deepEqual(
        all.filter((text) => text.startsWith('delete')),
        [],
      );
    });
  });

  describe('serving certificates', () => {
    const cases: [string, Parameters<typeof serving>[1] | undefined, string | undefined][] = [
      ['good', {}, undefined],
      [
        'one millisecond before two thirds of its life',
        { notBefore: now - 20 * day + 1, notAfter: now + 10 * day + 1 },
        undefined,
      ],
      ['at two thirds of its life', { notBefore: now - 20 * day, notAfter: now + 10 * day }, 'serving-certificate-due'],
      ['expired', { notBefore: now - 40 * day, notAfter: now - day }, 'serving-certificate-due'],
      ['of a CA that is not known', { signer: undefined }, 'serving-certificate-of-another-ca'],
      ['of another CA, and expired', { signer: 'bb', notAfter: now }, 'serving-certificate-of-another-ca'],
      ['for another name', { dnsNames: ['osm-injector.elsewhere.svc'] }, 'serving-names-changed'],
    ];
    for (const [name, changes, reason] of cases) {
      it(`${name}: ${reason ?? 'kept'}`, () => {
        const seen = observed({
          serving: { 'osm-injector': serving('osm-injector', changes), 'osm-controller': serving('osm-controller') },
        });
        const issued = lines(valid(), seen).filter((text) => text.startsWith('issue'));
        assert.deepEqual(issued, reason === undefined ? [] : [`issue osm-injector: ${reason}`]);
      });
    }

    it('are looked at again when the first is due, or within an hour', () => {
      const soon = serving('osm-injector', { notBefore: now - 20 * day + 1000, notAfter: now + 10 * day + 1000 });
      const seen = observed({ serving: { 'osm-injector': soon, 'osm-controller': serving('osm-controller') } });
      assert.equal(plan(valid(), seen).requeueAfter, 1000);
      assert.equal(plan(valid(), observed()).requeueAfter, 3_600_000);
    });
  });

  describe('native sidecars', () => {
    const cases: [string[], boolean][] = [
      [['v1.34.1'], true],
      [['v1.29.0', 'v1.34.1'], true],
      [['v1.28.9', 'v1.34.1'], false],
      [['v1.30.2-eks-1552ad0'], true],
      [['unknown'], false],
      [[], true],
    ];
    for (const [versions, expected] of cases) {
      it(`${versions.join(', ') || 'no node'}: ${expected}`, () => assert.equal(nativeSidecars(versions), expected));
    }
  });
});
