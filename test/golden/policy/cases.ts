/** The cases by rule: each folder here holds manifests (`input.yaml`) and what is asked of them (`case.yaml`). */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parse, parseAllDocuments } from 'yaml';
import type { KubeObject } from '#kubernetes/types.ts';
import { compile } from '#mesh/compile.ts';
import type { MeshModel } from '#mesh/model.ts';
import type { MeshObjects } from '#mesh/objects.ts';
import { type Problem, sortProblems } from '#mesh/problem.ts';
import { load } from '#test/support/manifests.ts';
import { meshOfModel, type SimulatedMesh } from '#test/support/simulate/mesh.ts';
import type { Resource } from '#xds/resource.ts';

export type Side = 'outbound' | 'inbound';

export interface PolicyCall {
  /** `<namespace>/<pod>`. */
  readonly from: string;
  /** `http://name[:port]/path` or `tcp://name:port`, as the pod's application would call it. */
  readonly to: string;
  readonly method?: string;
  readonly host?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** One of the addresses that the name has, where it has several. */
  readonly address?: string;
  /** In the words of `test/support/simulate/say.ts`. Written by people: `npm run golden` leaves it alone. */
  readonly outcome: string;
}

/** `case.yaml`. */
interface CaseFile {
  /** What this case shows, in one sentence. */
  readonly rule: string;
  /** Whose configuration is written out, by `<namespace>/<pod>`: what it does as a caller, or as the one who is called. */
  readonly sidecars: Readonly<Record<string, Side>>;
  /** `cluster.local` by default. */
  readonly clusterDomain?: string;
  readonly calls: readonly PolicyCall[];
}

export interface PolicyCase extends CaseFile {
  readonly name: string;
  readonly directory: string;
  readonly manifests: readonly KubeObject[];
  readonly objects: MeshObjects;
  readonly model: MeshModel;
  readonly mesh: SimulatedMesh;
  /** All resources of each of `sidecars`, in their order. */
  readonly resources: ReadonlyMap<string, readonly Resource[]>;
  readonly problems: readonly Problem[];
}

/** A MeshConfig without a word changed, unless the case brings its own. */
const MESH_CONFIG: KubeObject = {
  apiVersion: 'config.openservicemesh.io/v1alpha2',
  kind: 'MeshConfig',
  metadata: { name: 'osm-mesh-config', namespace: 'osm-system' },
  spec: {},
};

export async function policyCases(): Promise<PolicyCase[]> {
  const folders = (await readdir(import.meta.dirname, { withFileTypes: true })).filter((it) => it.isDirectory());
  const cases = await Promise.all(folders.map(({ name }) => readCase(name, join(import.meta.dirname, name))));
  return cases.toSorted((a, b) => (a.name < b.name ? -1 : 1));
}

/** The side of a sidecar that a resource belongs to. */
export function sideOf({ name }: Resource): Side {
  return /^(inbound$|inbound\.|local\.|metrics$)/.test(name) ? 'inbound' : 'outbound';
}

async function readCase(name: string, directory: string): Promise<PolicyCase> {
  const [input, described] = await Promise.all(
    ['input.yaml', 'case.yaml'].map((file) => readFile(join(directory, file), 'utf8')),
  );
  const file = parse(described ?? '') as CaseFile;
  const written = parseAllDocuments(input ?? '').map((document) => document.toJS() as KubeObject);
  const manifests = written.some(({ kind }) => kind === 'MeshConfig') ? written : [...written, MESH_CONFIG];
  const { clusterDomain = 'cluster.local' } = file;
  const { objects, problems: unreadable } = load(manifests, { clusterDomain });
  const { model, problems } = compile(objects);
  const mesh = meshOfModel(model);
  const resources = Object.keys(file.sidecars).map((key) => {
    const sidecar = mesh.sidecars.get(key);
    if (sidecar === undefined) throw new Error(`${directory}/case.yaml: there is no meshed pod ${key}`);
    return [key, sidecar.resources] as const;
  });
  return {
    ...{ ...file, name, directory, manifests, objects, model, mesh },
    resources: new Map(resources),
    problems: sortProblems([...unreadable, ...problems]),
  };
}
