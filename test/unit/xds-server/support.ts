import { createHash } from 'node:crypto';
import { buildSnapshot, type ProxySnapshot, type ResourceMap, resourceMap } from '#xds/cache/snapshot.ts';
import { CLUSTER, ENDPOINTS, LISTENER, ROUTES, SECRET, type TypeUrl } from '#xds/cache/types.ts';
import type { Resource } from '#xds/resource.ts';
import type { DeltaRequest, DeltaResponse } from '#xds/server/messages.ts';

export const SHORT = { cds: CLUSTER, eds: ENDPOINTS, sds: SECRET, lds: LISTENER, rds: ROUTES } as const;

/** A resource whose content is any text. */
export function resource(type: TypeUrl, name: string, content = '1', extra: Partial<Resource> = {}): Resource {
  const bytes = Buffer.from(content);
  return { type, name, bytes, hash: createHash('sha256').update(bytes).digest('hex').slice(0, 8), ...extra };
}

/** `{ a: '1' }` → a map of one type. */
export function resources(contents: Readonly<Record<string, string>>, type: TypeUrl = CLUSTER): ResourceMap {
  return resourceMap(Object.entries(contents).map(([name, content]) => resource(type, name, content)));
}

/** `{ cds: { a: '1' }, … }` → a snapshot; a cluster needs the EDS of its own name and the secret `workload`. */
export function snapshot(
  contents: Partial<Record<keyof typeof SHORT, Readonly<Record<string, string>>>>,
  previous?: ProxySnapshot,
): ProxySnapshot {
  const all = Object.entries(contents).flatMap(([short, names]) =>
    Object.entries(names).map(([name, content]) =>
      resource(
        SHORT[short as keyof typeof SHORT],
        name,
        content,
        short === 'cds'
          ? { endpoints: [name], secrets: ['workload'] }
          : short === 'lds'
            ? { secrets: ['workload'] }
            : {},
      ),
    ),
  );
  return buildSnapshot(all, previous);
}

export function request(
  fields: Partial<Omit<DeltaRequest, 'initialVersions'>> & { initial?: Record<string, string> } = {},
): DeltaRequest {
  const { initial = {}, ...rest } = fields;
  return {
    type: CLUSTER,
    nodeId: undefined,
    subscribe: [],
    unsubscribe: [],
    nonce: '',
    error: undefined,
    initialVersions: new Map(Object.entries(initial)),
    ...rest,
  };
}

/** `cds +a,b -c` for each response: what a test asserts. */
export function summary(responses: readonly DeltaResponse[]): string[] {
  return responses.map((response) => {
    const short = Object.entries(SHORT).find(([, type]) => type === response.type)?.[0] ?? response.type;
    const added = response.resources.map(({ name }) => name).toSorted();
    const removed = response.removed.toSorted();
    return [short, added.length > 0 ? `+${added.join(',')}` : '', removed.length > 0 ? `-${removed.join(',')}` : '']
      .filter(Boolean)
      .join(' ');
  });
}
