/** A snapshot as readable JSON. Secrets show their name and version only: their bytes are never decoded here. */
import { type DescMessage, fromBinary, type JsonValue, toJson } from '@bufbuild/protobuf';
import type { ProxySnapshot } from '#xds/cache/snapshot.ts';
import { SECRET, SHORT_NAME, TYPES, type TypeUrl } from '#xds/cache/types.ts';
import { anyRegistry } from '#xds/proto/registry.ts';
import type { Resource } from '#xds/resource.ts';

export interface DumpedResource {
  readonly name: string;
  readonly version: string;
  readonly resource: JsonValue;
}

/** Resources by short type name (`cds`, …), sorted by name. */
export function dump(snapshot: ProxySnapshot): Readonly<Record<string, readonly DumpedResource[]>> {
  return Object.fromEntries(
    TYPES.map((type) => [SHORT_NAME[type], [...snapshot[type].values()].map((resource) => show(type, resource))]),
  );
}

function show(type: TypeUrl, { name, hash, bytes }: Resource): DumpedResource {
  if (type === SECRET) return { name, version: hash, resource: '[redacted]' };
  const schema: DescMessage | undefined = anyRegistry.getMessage(type.slice(type.indexOf('/') + 1));
  if (schema === undefined) return { name, version: hash, resource: null };
  return { name, version: hash, resource: toJson(schema, fromBinary(schema, bytes), { registry: anyRegistry }) };
}
