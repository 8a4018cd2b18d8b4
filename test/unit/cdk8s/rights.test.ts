import assert from 'node:assert/strict';
import {
  controllerClusterRules,
  controllerRules,
  gatewayGrantRules,
  injectorClusterRules,
  operatorClusterRules,
  operatorRules,
  type Rule,
} from '#cdk8s/rights.ts';
import { expectGolden } from './golden.ts';

const roles: Readonly<Record<string, readonly Rule[]>> = {
  'operator, cluster-wide': operatorClusterRules,
  'operator, in its namespace': operatorRules,
  'operator, to grant it for the ingress gateway': gatewayGrantRules,
  'injector, cluster-wide': injectorClusterRules,
  'controller, cluster-wide': controllerClusterRules,
  'controller, in its namespace': controllerRules,
};

describe('cdk8s/rights', () => {
  it('grants what the golden says, and no more', () => {
    const lines = Object.entries(roles).flatMap(([who, rules]) => [`${who}:`, ...rules.flatMap(linesOf), '']);
    expectGolden('rights.golden.txt', lines.join('\n'));
  });

  it('grants no wildcard', () => {
    assert.doesNotMatch(JSON.stringify(roles), /\*/);
  });

  it('lets nobody list Secrets, and nobody but the operator get one beyond the four that it knows', () => {
    for (const [who, rules] of Object.entries(roles)) {
      for (const rule of rules.filter(({ resources }) => resources?.includes('secrets'))) {
        assert.ok(!rule.verbs.some((verb) => ['list', 'watch'].includes(verb)) || rule.resourceNames, who);
        // Of a Secret that the MeshConfig names, in any namespace: for the same reason, and it alone.
        if (rules === gatewayGrantRules) continue;
        // The operator grants the controller the ones that MeshRootCertificates name, so it must hold that itself.
        const without = who === 'operator, in its namespace' ? ['create', 'get'] : [];
        const nameless = rule.verbs.every((verb) => without.includes(verb));
        assert.ok(nameless || (rule.resourceNames?.length ?? 0) > 0, `${who}: ${JSON.stringify(rule)}`);
        assert.match(who, /in its namespace/);
      }
    }
  });
});

/** One line a resource, so that a change of rights is a change of lines. */
function linesOf(rule: Rule): string[] {
  const names = rule.resourceNames === undefined ? '' : ` [${rule.resourceNames.join(', ')}]`;
  const verbs = rule.verbs.join(' ');
  const subjects =
    rule.nonResourceURLs ??
    (rule.resources ?? []).map((resource) => [resource, ...(rule.apiGroups ?? [])].filter(Boolean).join('.'));
  return subjects.map((subject) => `  ${subject}${names}: ${verbs}`);
}
