/**
 * The rules of traffic policy, one folder each under `policy/`: manifests go in, and listeners, routes, clusters, endpoints and
 * problems come out as YAML to read; `case.yaml` says what becomes of some calls. `npm run golden` rewrites and prunes what comes
 * out, and never what is expected of the calls.
 */
import assert from 'node:assert/strict';
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { JsonValue } from '@bufbuild/protobuf';
import { Document, isCollection, visit } from 'yaml';
import { evaluate } from '#mesh/check.ts';
import type { PodObject } from '#mesh/objects.ts';
import { judged } from '#test/support/judged.ts';
import { proxyOf } from '#test/support/simulate/mesh.ts';
import { callOf } from '#test/support/simulate/names.ts';
import { say, verdict } from '#test/support/simulate/say.ts';
import { simulate } from '#test/support/simulate/simulate.ts';
import { kindOf, resourceJson } from '#test/support/static-config.ts';
import type { Resource } from '#xds/resource.ts';
import { type PolicyCall, type PolicyCase, policyCases, sideOf } from './policy/cases.ts';
import { commonParts } from './policy/common.ts';
import { fold, unfold } from './policy/fold.ts';

const FILES: Readonly<Record<string, string>> = {
  Listener: 'listeners.yaml',
  RouteConfiguration: 'routes.yaml',
  Cluster: 'clusters.yaml',
  ClusterLoadAssignment: 'endpoints.yaml',
};
const WRITTEN = ['case.yaml', 'input.yaml'];

const update = process.env['OSM_UPDATE_GOLDEN'] === '1';
const common = commonParts();
const cases = await policyCases();

describe('golden: policy', () => {
  it('what all sidecars have in common', async () => {
    await expectFile(join(import.meta.dirname, 'policy/common.yaml'), yaml(Object.fromEntries(common)));
  });

  for (const golden of cases) {
    it(`${golden.name}: ${golden.rule}`, async () => {
      const expected = rendered(golden);
      for (const [file, text] of expected) await expectFile(join(golden.directory, file), text);
      for (const file of await readdir(golden.directory)) {
        if (WRITTEN.includes(file) || expected.has(file)) continue;
        if (update) await rm(join(golden.directory, file));
        else assert.fail(`${golden.name}/${file} belongs to nothing: npm run golden removes it`);
      }
      const calls = golden.calls.map((call) => ({ ...call, outcome: say(simulated(golden, call)) }));
      assert.deepEqual(calls, golden.calls);
      for (const call of golden.calls) agree(golden, call);
    });
  }
});

async function expectFile(path: string, text: string): Promise<void> {
  if (update) await writeFile(path, text);
  else assert.equal(text, await readFile(path, 'utf8').catch(() => ''), `${path}: npm run golden rewrites it`);
}

/** File name → YAML: by sidecar, all resources of one kind by name; and the problems, where there are any. */
function rendered({ sidecars, resources, problems }: PolicyCase): Map<string, string> {
  const files = new Map<string, string>();
  for (const [kind, file] of Object.entries(FILES)) {
    const bySidecar = [...resources].map(([sidecar, all]) => {
      const shown = all.filter((resource) => kindOf(resource) === kind && sideOf(resource) === sidecars[sidecar]);
      return [sidecar, shown.map(folded)] as const;
    });
    const some = bySidecar.filter(([, list]) => list.length > 0);
    if (some.length > 0) files.set(file, yaml(Object.fromEntries(some)));
  }
  if (problems.length > 0) files.set('problems.yaml', yaml(problems));
  return files;
}

function folded(resource: Resource): JsonValue {
  const json = resourceJson(resource);
  const short = fold(json, common);
  assert.deepEqual(unfold(short, common), json, 'what is folded must unfold to every line');
  return short;
}

/** What fits stands on one line. */
function yaml(value: unknown): string {
  const document = new Document(value, { aliasDuplicateObjects: false });
  visit(document, {
    Collection(_, node, path) {
      const entry = path.length > 2 && isCollection(node);
      if (entry && JSON.stringify(node.toJS(document)).length <= 100) node.flow = true;
    },
  });
  return document.toString({ lineWidth: 0 });
}

function podOf({ model }: PolicyCase, key: string): PodObject {
  const pod = model.pods.get(key);
  assert.ok(pod, `there is no pod ${key}`);
  return pod;
}

function simulated(golden: PolicyCase, call: PolicyCall) {
  const sidecar = golden.mesh.sidecars.get(call.from);
  assert.ok(sidecar, `${call.from} has no sidecar`);
  return simulate(golden.mesh, sidecar, callOf(golden.objects, sidecar.pod, call.to, call));
}

/** The model's judge says the same. */
function agree(golden: PolicyCase, call: PolicyCall): void {
  const from = podOf(golden, call.from);
  const { http, ...to } = callOf(golden.objects, from, call.to, call);
  const request = http && { ...http, method: http.method ?? 'GET', path: http.path?.split('?')[0] ?? '/' };
  const outcome = evaluate(
    golden.model,
    proxyOf(golden.model, from),
    request === undefined ? to : { ...to, http: request },
  );
  assert.equal(judged(outcome), verdict(simulated(golden, call)), `${call.from} calls ${call.to}`);
}
