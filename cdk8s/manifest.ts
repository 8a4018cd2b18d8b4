/** From constructs to plain API objects: what the operator applies and what the packages write as YAML. */
import { ApiObject, App, Chart } from 'cdk8s';
import type { Construct } from 'constructs';
import { stringify } from 'yaml';

/** An owner in the metadata of another object. */
export interface Owner {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly uid: string;
}

/** Any API object as JSON. A name is always given: generated names would drift between Git and the cluster. */
export interface Manifest {
  apiVersion: string;
  kind: string;
  metadata: {
    name: string;
    namespace?: string;
    labels?: Record<string, string>;
    annotations?: Record<string, string>;
    ownerReferences?: Owner[];
  };
  spec?: unknown;
  data?: Record<string, string>;
  [field: string]: unknown;
}

/** Adds one object to a chart, or to a part of it. */
export function add(scope: Construct, manifest: Manifest): void {
  const { name, namespace } = manifest.metadata;
  new ApiObject(scope, [manifest.kind, namespace, name].filter((part) => part !== undefined).join(':'), {
    ...manifest,
  });
}

/** The objects that `build` adds, in the order of adding, each with `labels` beside its own; keys are sorted. */
export function synthesize(labels: Readonly<Record<string, string>>, build: (chart: Chart) => void): Manifest[] {
  const chart = new Chart(new App(), 'osm', { disableResourceNameHashes: true, labels: { ...labels } });
  build(chart);
  return chart.toJson() as Manifest[];
}

// No line folding: a folded CEL expression is hard to read and to search. Nor aliases: few readers of manifests expect them.
const yamlOptions = { lineWidth: 0, version: '1.1', aliasDuplicateObjects: false } as const;

/** One YAML document an object, after a header of comment lines. */
export function toYaml(header: readonly string[], objects: readonly Manifest[]): string {
  const comments = header.map((line) => `# ${line}\n`).join('');
  return comments + objects.map((object) => `---\n${stringify(object, yamlOptions)}`).join('');
}
