/**
 * What stands in every sidecar (a connection manager's settings, TLS, retries, circuit breakers) would bury the few lines that
 * a rule is about. It is written once, in `common.yaml`, and named where it stands: `like: <name>`, beside what is different
 * there. Nothing is left out: `unfold` gives back every line, and the test holds it to that.
 */
import type { JsonObject, JsonValue } from '@bufbuild/protobuf';

/** By name, each folded inside with those before it. */
export type Common = ReadonlyMap<string, JsonObject>;

const LIKE = 'like';

/** Every object that is one of the common ones, but for fields that are other or more, is named instead. */
export function fold(value: JsonValue, common: Common): JsonValue {
  if (Array.isArray(value)) return value.map((entry) => fold(entry, common));
  if (!isObject(value)) return value;
  const folded = foldInside(value, common);
  let best: JsonObject = asTable(folded) ?? folded;
  for (const [name, base] of common) {
    const rest = beyond(folded, base);
    if (rest === undefined) continue;
    const named = { [LIKE]: name, ...rest };
    if (size(named) < size(best)) best = named;
  }
  return best;
}

/** The same, but the object itself keeps its own shape. */
export function foldInside(value: JsonObject, common: Common): JsonObject {
  return Object.fromEntries(Object.entries(value).map(([key, entry]) => [key, fold(entry, common)]));
}

export function unfold(value: JsonValue, common: Common): JsonValue {
  if (Array.isArray(value)) return value.map((entry) => unfold(entry, common));
  if (!isObject(value)) return value;
  if (isObject(value[TABLE])) return unfold(fromTable(value[TABLE] as Table), common);
  const { [LIKE]: name, ...rest } = value;
  const base = typeof name === 'string' ? common.get(name) : undefined;
  const whole = base === undefined ? value : merged(base, rest);
  return Object.fromEntries(Object.entries(whole).map(([key, entry]) => [key, unfold(entry, common)]));
}

/** What of `value` is not in `base`; undefined when `base` has something that `value` has not, or the two are little alike. */
function beyond(value: JsonObject, base: JsonObject): JsonObject | undefined {
  const rest: JsonObject = {};
  for (const [key, entry] of Object.entries(base)) {
    const own = value[key];
    if (own === undefined) return undefined;
    if (same(own, entry)) continue;
    const inner = isObject(own) && isObject(entry) ? beyond(own, entry) : undefined;
    // what is replaced as a whole must not read as an addition to what the base has
    if (inner === undefined && isObject(own)) return undefined;
    rest[key] = inner ?? own;
  }
  for (const [key, own] of Object.entries(value)) if (!(key in base)) rest[key] = own;
  return rest;
}

function merged(base: JsonObject, rest: JsonObject): JsonObject {
  const result: JsonObject = { ...base };
  for (const [key, entry] of Object.entries(rest)) {
    const own = result[key];
    result[key] = isObject(own) && isObject(entry) ? merged(own, entry) : entry;
  }
  return result;
}

/** A filter chain matcher as `port → chain → addresses`. */
type Table = Record<string, Record<string, string[]>>;
const TABLE = 'destinations';

interface MatcherJson {
  readonly matcher_tree: {
    readonly exact_match_map: {
      readonly map: Readonly<Record<string, { readonly matcher: { readonly matcher_tree: PortJson } }>>;
    };
  };
}

interface PortJson {
  readonly custom_match: { readonly typed_config: { readonly range_matchers: readonly RangeJson[] } };
}

interface RangeJson {
  readonly ranges: readonly { readonly address_prefix: string; readonly prefix_len: number }[];
  readonly on_match: { readonly action: { readonly typed_config: { readonly value: string } } };
}

/** Undefined for what is no such matcher, or one that the table could not give back. */
function asTable(value: JsonObject): JsonObject | undefined {
  if (!('matcher_tree' in value)) return undefined;
  try {
    const table: Table = {};
    const { map } = (value as unknown as MatcherJson).matcher_tree.exact_match_map;
    for (const [port, { matcher }] of Object.entries(map)) {
      const chains: Record<string, string[]> = {};
      for (const { ranges, on_match } of matcher.matcher_tree.custom_match.typed_config.range_matchers) {
        chains[on_match.action.typed_config.value] = ranges.map(
          ({ address_prefix: at, prefix_len: bits }) => `${at}/${bits}`,
        );
      }
      table[port] = chains;
    }
    return same(fromTable(table), value) ? { [TABLE]: table } : undefined;
  } catch {
    return undefined; // another shape, which is written as it is
  }
}

function fromTable(table: Table): JsonObject {
  const typed = (type: string, fields: JsonObject = {}): JsonObject => ({
    ...fields,
    '@type': `type.googleapis.com/${type}`,
  });
  const inputs = 'envoy.extensions.matching.common_inputs.network.v3';
  const input = (name: string, type: string): JsonObject => ({
    name: `envoy.matching.inputs.${name}`,
    typed_config: typed(`${inputs}.${type}`),
  });
  const ranges = (chains: Record<string, string[]>): JsonObject[] =>
    Object.entries(chains).map(([chain, addresses]) => ({
      ranges: addresses.map((address) => {
        const slash = address.lastIndexOf('/');
        return { address_prefix: address.slice(0, slash), prefix_len: Number(address.slice(slash + 1)) };
      }),
      on_match: { action: { name: 'chain', typed_config: typed('google.protobuf.StringValue', { value: chain }) } },
    }));
  const map = Object.entries(table).map(([port, chains]): [string, JsonObject] => [
    port,
    {
      matcher: {
        matcher_tree: {
          input: input('destination_ip', 'DestinationIPInput'),
          custom_match: {
            name: 'envoy.matching.custom_matchers.ip_range_matcher',
            typed_config: typed('xds.type.matcher.v3.IPMatcher', { range_matchers: ranges(chains) }),
          },
        },
      },
    },
  ]);
  return {
    matcher_tree: {
      input: input('destination_port', 'DestinationPortInput'),
      exact_match_map: { map: Object.fromEntries(map) },
    },
  };
}

function isObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function same(a: JsonValue, b: JsonValue): boolean {
  return canonical(a) === canonical(b);
}

function canonical(value: JsonValue): string {
  return JSON.stringify(value, (_, entry: JsonValue) =>
    isObject(entry) ? Object.fromEntries(Object.entries(entry).toSorted(([a], [b]) => (a < b ? -1 : 1))) : entry,
  );
}

function size(value: JsonValue): number {
  return JSON.stringify(value).length;
}
