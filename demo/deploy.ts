/** Puts the bookstore of step 1 into a mesh: its namespaces join, and its programs come up. */
import { readFileSync } from 'node:fs';
import type { WalkOptions } from './walk.ts';

export const NAMESPACES = ['bookbuyer', 'bookthief', 'bookstore', 'bookwarehouse'] as const;

/** Applied in this order: who is called stands before who calls. */
const APPS = ['bookwarehouse.yaml', 'bookstore.yaml', 'bookbuyer.yaml', 'bookthief.yaml'] as const;

export async function deployBookstore({ kubectl, log, manifests }: WalkOptions): Promise<void> {
  for (const name of NAMESPACES) {
    log(
      `   kubectl create namespace ${name}; label openservicemesh.io/monitored-by=osm; annotate sidecar-injection=enabled`,
    );
    await kubectl(
      ['apply', '-f', '-'],
      JSON.stringify({
        apiVersion: 'v1',
        kind: 'Namespace',
        metadata: {
          name,
          labels: { 'openservicemesh.io/monitored-by': 'osm' },
          annotations: { 'openservicemesh.io/sidecar-injection': 'enabled' },
        },
      }),
    );
  }
  for (const file of APPS) {
    log(`   kubectl apply -f demo/manifests/${file}`);
    await kubectl(['apply', '-f', '-'], readFileSync(new URL(file, manifests), 'utf8'));
  }
  await kubectl(['rollout', 'status', '-n', 'bookwarehouse', 'statefulset/mysql', '--timeout=180s']);
  for (const name of ['bookwarehouse', 'bookstore', 'bookbuyer', 'bookthief']) {
    await kubectl(['rollout', 'status', '-n', name, `deployment/${name}`, '--timeout=180s']);
    log(`   ${name} runs`);
  }
}
