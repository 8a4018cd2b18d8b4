import type { Kind, ListOptions } from './types.ts';

export interface Target {
  readonly namespace?: string | undefined;
  readonly name?: string | undefined;
  readonly subresource?: string | undefined;
}

/**
 * The API path of a collection or an object: `/apis/apps/v1/namespaces/default/deployments/web/status`.
 * Without a namespace, a namespaced kind's collection is that of all namespaces; a single object then has no path.
 */
export function pathOf(kind: Kind, target: Target = {}): string {
  const { namespace, name, subresource } = target;
  if (kind.namespaced && name !== undefined && !namespace) {
    throw new TypeError(`${kind.kind} ${name} is namespaced: its namespace is missing`);
  }
  const base = kind.group === '' ? `/api/${kind.version}` : `/apis/${kind.group}/${kind.version}`;
  const parts = [base];
  if (kind.namespaced && namespace) parts.push('namespaces', encodeURIComponent(namespace));
  parts.push(kind.plural);
  if (name !== undefined) parts.push(encodeURIComponent(name));
  if (subresource !== undefined) parts.push(subresource);
  return parts.join('/');
}

/** `?a=b&c=d`, without what is undefined; the empty string when nothing is left. */
export function query(parameters: Readonly<Record<string, string | number | boolean | undefined>>): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) if (value !== undefined) search.set(name, String(value));
  return search.size === 0 ? '' : `?${search.toString()}`;
}

/** Path and selectors of a list or a watch. */
export function collectionOf(
  kind: Kind,
  options: ListOptions,
  more: Readonly<Record<string, string | number | boolean | undefined>> = {},
): string {
  const { namespace, labelSelector, fieldSelector } = options;
  return pathOf(kind, { namespace }) + query({ labelSelector, fieldSelector, ...more });
}
