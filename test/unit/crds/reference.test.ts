import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { parseAllDocuments } from 'yaml';
import { kinds } from '#crds/kinds.ts';
import { referenceIndex, referencePage, fileName } from '#crds/reference.ts';
import { meshConfig } from '#crds/schema/mesh-config.ts';
import { trafficSplit } from '#crds/schema/traffic-split.ts';

describe('crds: reference', () => {
  it('names files after kinds', () => {
    assert.deepEqual(['MeshConfig', 'HTTPRouteGroup', 'TCPRoute', 'Egress'].map(fileName), [
      'mesh-config',
      'http-route-group',
      'tcp-route',
      'egress',
    ]);
  });

  it('shows a field with type, default, bounds and whether it must be given', () => {
    const mesh = referencePage(meshConfig).text;
    assert.match(mesh, /\| `sidecar\.localProxyMode` \| `Localhost`, `PodIP` \| `"Localhost"` \| Where a sidecar/);
    assert.match(mesh, /\| `controlPlane\.injector\.replicas` \| integer \| `2` \| Number of injector pods\. 1–100\./);
    assert.match(mesh, /config\.openservicemesh\.io\/v1alpha1` \(deprecated\)/);
    assert.match(referencePage(trafficSplit).text, /\| `backends\[\]\.weight`\* \| number \|/);
  });

  it('lists what is accepted without effect, and what is not acted on yet', () => {
    const index = referenceIndex(kinds).text;
    const [, without = '', later = ''] = index.split('\n## ');
    assert.match(without, /- MeshConfig `spec\.featureFlags\.enableSnapshotCacheMode`\n/);
    assert.match(without, /- MeshRootCertificate `spec\.spiffeEnabled`\n/);
    assert.match(later, /- the whole kind \[Retry\]\(retry\.md\)\n/);
    assert.match(later, /- MeshConfig `spec\.observability\.tracing`\n/);
    assert.doesNotMatch(without + later, /enableEgress`|enablePermissiveTrafficPolicyMode`/);
  });

  it('has an example of each kind and version', () => {
    const folder = new URL('../../../crds/examples/', import.meta.url);
    const present = new Set(
      readdirSync(folder)
        .filter((file) => file.endsWith('.yaml'))
        .flatMap((file) => parseAllDocuments(readFileSync(new URL(file, folder), 'utf8')))
        .map((document) => `${String(document.get('apiVersion'))} ${String(document.get('kind'))}`),
    );
    const wanted = kinds.flatMap(({ group, kind, versions }) => versions.map(({ name }) => `${group}/${name} ${kind}`));
    assert.deepEqual(
      wanted.filter((one) => !present.has(one)),
      [],
    );
    assert.ok(existsSync(new URL('meshconfig.yaml', folder)));
  });
});
