/** What the translation makes of each golden view, as YAML to read. `OSM_UPDATE_GOLDEN=1` rewrites and prunes. */
import assert from 'node:assert/strict';
import { readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { kindOf, resourceJson } from '#test/support/static-config.ts';
import { type GoldenCase, goldenCases } from './translate/cases.ts';

const files: Readonly<Record<string, string>> = {
  Listener: 'expected.listeners.yaml',
  RouteConfiguration: 'expected.routes.yaml',
  Cluster: 'expected.clusters.yaml',
  ClusterLoadAssignment: 'expected.endpoints.yaml',
};

const cases = await goldenCases();
const update = process.env['OSM_UPDATE_GOLDEN'] === '1';

describe('golden: translate', () => {
  for (const golden of cases) {
    it(golden.name, async () => {
      const expected = rendered(golden);
      for (const [file, text] of expected) {
        const path = join(golden.directory, file);
        if (update) await writeFile(path, text);
        else
          assert.equal(text, await readFile(path, 'utf8').catch(() => ''), `${path}: OSM_UPDATE_GOLDEN=1 rewrites it`);
      }
      for (const file of await readdir(golden.directory)) {
        if (file === 'view.ts' || expected.has(file)) continue;
        if (update) await rm(join(golden.directory, file));
        else assert.fail(`${golden.name}/${file} belongs to nothing: OSM_UPDATE_GOLDEN=1 removes it`);
      }
    });
  }
});

/** File name → YAML of all resources of one kind, by name. */
function rendered(golden: GoldenCase): Map<string, string> {
  const byFile = new Map<string, unknown[]>();
  for (const resource of golden.resources.toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
    const file = files[kindOf(resource)];
    assert.ok(file, `no golden file is named for ${resource.type}`);
    byFile.set(file, [...(byFile.get(file) ?? []), resourceJson(resource)]);
  }
  // Without aliases: shared parts are written out where they stand.
  return new Map(
    [...byFile].map(([file, list]) => [file, stringify(list, { aliasDuplicateObjects: false, lineWidth: 0 })]),
  );
}
