/**
 * One folder a case under `inject/`: `input.yaml` holds the pod, its namespace and what MeshConfig changes; `expected.yaml`
 * what becomes of it. OSM_UPDATE_GOLDEN=1 writes the latter anew, and removes those of cases that are gone.
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse, stringify } from 'yaml';
import { parseMeshConfig } from '#crds/parse.ts';
import { decide } from '#webhook/inject/decide.ts';
import { inject, warningsOf } from '#webhook/inject/inject.ts';
import { patchOf } from '#webhook/inject/patch.ts';
import type { Namespace, Pod } from '#webhook/inject/pod.ts';
import { meshInjection, settingsFor } from '#webhook/inject/settings.ts';
import { applyPatch } from 'rfc6902';

interface Case {
  /** `MeshConfig.spec`, `{}` where left out. */
  readonly meshConfig?: object;
  readonly nativeSidecars?: boolean;
  readonly namespace: Namespace;
  readonly pod: Pod;
}

const cases = join(import.meta.dirname, 'inject');

describe('injection goldens', () => {
  for (const name of readdirSync(cases).toSorted()) {
    it(name, () => {
      const input = parse(readFileSync(join(cases, name, 'input.yaml'), 'utf8')) as Case;
      const actual = stringify(outcome(input), { lineWidth: 0, aliasDuplicateObjects: false });
      const file = join(cases, name, 'expected.yaml');
      if (process.env['OSM_UPDATE_GOLDEN'] === '1') writeFileSync(file, actual);
      assert.equal(actual, readFileSync(file, 'utf8'));
    });
  }
});

function outcome(input: Case): object {
  const config = parseMeshConfig({
    apiVersion: 'config.openservicemesh.io/v1alpha2',
    kind: 'MeshConfig',
    metadata: { name: 'osm-mesh-config' },
    spec: input.meshConfig ?? {},
  });
  assert.ok(config.ok, JSON.stringify(config));
  const mesh = meshInjection(config.value.spec, {
    meshName: 'osm',
    controlPlaneNamespace: 'osm-system',
    nativeSidecars: input.nativeSidecars ?? true,
    image: 'openservicemesh/osm:golden',
    envoyImage: 'envoyproxy/envoy-distroless:v1.40.0',
  });
  const untouched = structuredClone(input.pod);
  const decision = decide(input.pod, input.namespace, mesh);
  if (decision.kind !== 'inject') return { decision };
  const settings = settingsFor(mesh, input.namespace);
  const pod = inject(input.pod, settings);
  assert.deepEqual(input.pod, untouched, 'inject changed its argument');
  assert.deepEqual(inject(pod, settings), pod, 'a second injection changed the pod');
  assert.deepEqual(decide(pod, input.namespace, mesh), decision, 'an injected pod is decided otherwise');
  // JSON.parse(JSON.stringify()) drops undefined, as the wire does.
  const patched = structuredClone(input.pod);
  assert.deepEqual(
    applyPatch(patched, patchOf(input.pod, pod)).filter((error) => error !== null),
    [],
  );
  assert.deepEqual(patched, pod, 'the patch does not make the pod');
  return { decision, warnings: warningsOf(input.pod, settings), pod: readable(pod) };
}

/** The bootstrap as an object: a change in it shows as a line, not as a line of 4 KB. */
function readable(pod: Pod): unknown {
  return JSON.parse(JSON.stringify(pod), (_key, value: unknown) =>
    typeof value === 'string' && value.startsWith('{"') ? (JSON.parse(value) as unknown) : value,
  );
}
