/**
 * Chooses a filter chain by the destination that the application meant: port first, then address. Addresses stand here and
 * nowhere else, so that one that comes or goes changes no chain: Envoy keeps every connection of a chain whose bytes are the
 * same as before, whatever happens to the matcher.
 */
import { StringValueSchema } from '@bufbuild/protobuf/wkt';
import type { PortAddresses } from '#mesh/view.ts';
import {
  DestinationIPInputSchema,
  DestinationPortInputSchema,
} from '#xds/proto/gen/envoy/extensions/matching/common_inputs/network/v3/network_inputs_pb.js';
import { CidrRangeSchema } from '#xds/proto/gen/xds/core/v3/cidr_pb.js';
import { TypedExtensionConfigSchema } from '#xds/proto/gen/xds/core/v3/extension_pb.js';
import { IPMatcherSchema, IPMatcher_IPRangeMatcherSchema } from '#xds/proto/gen/xds/type/matcher/v3/ip_pb.js';
import {
  MatcherSchema,
  Matcher_MatcherTreeSchema as TreeSchema,
  Matcher_MatcherTree_MatchMapSchema as MatchMapSchema,
  Matcher_OnMatchSchema as OnMatchSchema,
} from '#xds/proto/gen/xds/type/matcher/v3/matcher_pb.js';
import { encode, pack, packed } from './encode.ts';
import { type Field, type Piece, nested, tag, tagOf, text } from './wire.ts';

const TREE = tagOf(MatcherSchema, 'matcherTree');
const EXACT = tagOf(TreeSchema, 'exactMatchMap');
const CUSTOM = tagOf(TreeSchema, 'customMatch');
const ENTRIES = tagOf(MatchMapSchema, 'map');
const KEY = tag(1);
const VALUE = tag(2);
const THEN_MATCH = tagOf(OnMatchSchema, 'matcher');
const THEN_ACT = tagOf(OnMatchSchema, 'action');
const CONFIG = tagOf(TypedExtensionConfigSchema, 'typedConfig');
const RANGE_MATCHERS = tagOf(IPMatcherSchema, 'rangeMatchers');
const RANGES = tagOf(IPMatcher_IPRangeMatcherSchema, 'ranges');
const ON_MATCH = tagOf(IPMatcher_IPRangeMatcherSchema, 'onMatch');
const PREFIX = tagOf(CidrRangeSchema, 'addressPrefix');
const CHAIN_NAME = tagOf(StringValueSchema, 'value');

const byPort = encode(TreeSchema, {
  input: { name: 'envoy.matching.inputs.destination_port', typedConfig: pack(DestinationPortInputSchema, {}) },
});
const byAddress = encode(TreeSchema, {
  input: { name: 'envoy.matching.inputs.destination_ip', typedConfig: pack(DestinationIPInputSchema, {}) },
});
const ipRanges = encode(TypedExtensionConfigSchema, { name: 'envoy.matching.custom_matchers.ip_range_matcher' });
const chainAction = encode(TypedExtensionConfigSchema, { name: 'chain' });
const wholeIpv4 = encode(CidrRangeSchema, { prefixLen: 32 });
const wholeIpv6 = encode(CidrRangeSchema, { prefixLen: 128 });

/** The addresses on one port that lead to one chain. */
export interface ChainAddresses extends PortAddresses {
  readonly chain: string;
}

/**
 * The fields of a Matcher; undefined when no address leads anywhere. An address that two chains claim on one port goes to the first: pass what is
 * allowed before what is denied.
 */
export function destinationMatcher(targets: readonly ChainAddresses[]): Piece[] | undefined {
  const ports = new Map<number, Map<string, string[]>>();
  const claimed = new Set<string>();
  for (const { port, addresses, chain } of targets) {
    for (const address of addresses) {
      if (claimed.has(`${port} ${address}`)) continue;
      claimed.add(`${port} ${address}`);
      const chains = getOrAdd(ports, port, () => new Map<string, string[]>());
      getOrAdd(chains, chain, () => []).push(address);
    }
  }
  if (ports.size === 0) return undefined;
  const entries = [...ports]
    .sort(([one], [other]) => one - other)
    .map(([port, chains]) => nested(ENTRIES, text(KEY, String(port)), nested(VALUE, addressMatch(chains))));
  return [nested(TREE, byPort, nested(EXACT, ...entries))];
}

/** The field of an OnMatch. */
function addressMatch(chains: ReadonlyMap<string, readonly string[]>): Field {
  const matchers = [...chains].map(([chain, addresses]) =>
    nested(RANGE_MATCHERS, ...addresses.map(range), nested(ON_MATCH, toChain(chain))),
  );
  const custom = nested(CUSTOM, ipRanges, packed(CONFIG, IPMatcherSchema, ...matchers));
  return nested(THEN_MATCH, nested(TREE, byAddress, custom));
}

function range(address: string): Field {
  return nested(RANGES, text(PREFIX, address), address.includes(':') ? wholeIpv6 : wholeIpv4);
}

/** The field of an OnMatch. */
function toChain(name: string): Field {
  return nested(THEN_ACT, chainAction, packed(CONFIG, StringValueSchema, text(CHAIN_NAME, name)));
}

function getOrAdd<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  const found = map.get(key);
  if (found !== undefined) return found;
  const made = make();
  map.set(key, made);
  return made;
}
