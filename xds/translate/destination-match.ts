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
import { IPMatcherSchema } from '#xds/proto/gen/xds/type/matcher/v3/ip_pb.js';
import type { MatcherSchema, Matcher_OnMatchSchema } from '#xds/proto/gen/xds/type/matcher/v3/matcher_pb.js';
import { type Init, pack } from './encode.ts';

type Matcher = Init<typeof MatcherSchema>;
type OnMatch = Init<typeof Matcher_OnMatchSchema>;

/** The addresses on one port that lead to one chain. */
export interface ChainAddresses extends PortAddresses {
  readonly chain: string;
}

/**
 * Undefined when no address leads anywhere. An address that two chains claim on one port goes to the first: pass what is
 * allowed before what is denied.
 */
export function destinationMatcher(targets: readonly ChainAddresses[]): Matcher | undefined {
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
  const map: Record<string, OnMatch> = {};
  // Object keys that are numbers iterate in ascending order, so the bytes do not depend on the order of `targets`.
  for (const [port, chains] of ports) map[port] = addressMatch(chains);
  return {
    matcherType: {
      case: 'matcherTree',
      value: {
        input: { name: 'envoy.matching.inputs.destination_port', typedConfig: pack(DestinationPortInputSchema, {}) },
        treeType: { case: 'exactMatchMap', value: { map } },
      },
    },
  };
}

function addressMatch(chains: ReadonlyMap<string, readonly string[]>): OnMatch {
  return nested({
    matcherType: {
      case: 'matcherTree',
      value: {
        input: { name: 'envoy.matching.inputs.destination_ip', typedConfig: pack(DestinationIPInputSchema, {}) },
        treeType: {
          case: 'customMatch',
          value: {
            name: 'envoy.matching.custom_matchers.ip_range_matcher',
            typedConfig: pack(IPMatcherSchema, {
              rangeMatchers: [...chains].map(([chain, addresses]) => ({
                ranges: addresses.map((address) => ({
                  addressPrefix: address,
                  prefixLen: address.includes(':') ? 128 : 32,
                })),
                onMatch: toChain(chain),
              })),
            }),
          },
        },
      },
    },
  });
}

function toChain(name: string): OnMatch {
  const typedConfig = pack(StringValueSchema, { value: name });
  return { onMatch: { case: 'action', value: { name: 'chain', typedConfig } } };
}

function nested(matcher: Matcher): OnMatch {
  return { onMatch: { case: 'matcher', value: matcher } };
}

function getOrAdd<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  const found = map.get(key);
  if (found !== undefined) return found;
  const made = make();
  map.set(key, made);
  return made;
}
