/** The golden cases: each folder here has a `view.ts` and the YAML that is expected of it. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { EndpointAssignment, ProxyView } from '#mesh/view.ts';
import type { Resource } from '#xds/resource.ts';
import { translateEndpoints, translateView } from '#xds/translate/translate.ts';

export const casesDirectory = import.meta.dirname;

export interface GoldenCase {
  readonly name: string;
  readonly directory: string;
  readonly view: ProxyView;
  readonly endpoints: readonly EndpointAssignment[];
  /** Clusters, listeners, routes and endpoints. */
  readonly resources: readonly Resource[];
}

export async function goldenCases(): Promise<GoldenCase[]> {
  const folders = (await readdir(casesDirectory, { withFileTypes: true })).filter((it) => it.isDirectory());
  const cases = folders.map(async ({ name }): Promise<GoldenCase> => {
    const directory = join(casesDirectory, name);
    const { view, endpoints } = (await import(join(directory, 'view.ts'))) as Pick<GoldenCase, 'view' | 'endpoints'>;
    const resources = [...translateView(view), ...endpoints.map(translateEndpoints)];
    return { name, directory, view, endpoints, resources };
  });
  return (await Promise.all(cases)).toSorted((a, b) => (a.name < b.name ? -1 : 1));
}
