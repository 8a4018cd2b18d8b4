// oxlint-disable typescript/switch-exhaustiveness-check -- of what Envoy knows, the mesh writes a few cases; any other throws
/** Which filter chain of a listener takes a connection. */
import { StringValueSchema } from '@bufbuild/protobuf/wkt';
import ipaddr from 'ipaddr.js';
import type { FilterChain } from '#xds/proto/gen/envoy/config/listener/v3/listener_components_pb.js';
import type { Listener } from '#xds/proto/gen/envoy/config/listener/v3/listener_pb.js';
import {
  DestinationIPInputSchema,
  DestinationPortInputSchema,
} from '#xds/proto/gen/envoy/extensions/matching/common_inputs/network/v3/network_inputs_pb.js';
import { IPMatcherSchema } from '#xds/proto/gen/xds/type/matcher/v3/ip_pb.js';
import type { Matcher, Matcher_OnMatch as OnMatch } from '#xds/proto/gen/xds/type/matcher/v3/matcher_pb.js';
import { packs, unpack } from './config.ts';

export interface Destination {
  readonly address: string;
  readonly port: number;
}

/** By the matcher, where a listener has one. What it leads nowhere goes to the default chain. */
export function chainByMatcher(listener: Listener, to: Destination): FilterChain | undefined {
  const name = listener.filterChainMatcher === undefined ? undefined : walk(listener.filterChainMatcher, to);
  if (name === undefined) return listener.defaultFilterChain;
  const chain = listener.filterChains.find((entry) => entry.name === name);
  if (chain === undefined) throw new Error(`the matcher names the chain "${name}", which does not exist`);
  return chain;
}

function walk({ matcherType, onNoMatch }: Matcher, to: Destination): string | undefined {
  if (matcherType.case !== 'matcherTree')
    throw new Error(`the simulation does not know matchers by ${matcherType.case}`);
  const { input, treeType } = matcherType.value;
  let found: OnMatch | undefined;
  if (treeType.case === 'exactMatchMap' && packs(input?.typedConfig, DestinationPortInputSchema)) {
    found = treeType.value.map[String(to.port)];
  } else if (treeType.case === 'customMatch' && packs(input?.typedConfig, DestinationIPInputSchema)) {
    const { rangeMatchers } = unpack(treeType.value.typedConfig, IPMatcherSchema);
    found = longestRange(rangeMatchers, to.address)?.onMatch;
  } else
    throw new Error(`the simulation does not know the matcher ${treeType.case} over ${input?.typedConfig?.typeUrl}`);
  found ??= onNoMatch;
  switch (found?.onMatch.case) {
    case 'matcher':
      return walk(found.onMatch.value, to);
    case 'action':
      return unpack(found.onMatch.value.typedConfig, StringValueSchema).value;
    default:
      return undefined;
  }
}

type RangeMatcher = ReturnType<typeof unpack<typeof IPMatcherSchema>>['rangeMatchers'][number];

function longestRange(matchers: readonly RangeMatcher[], address: string): RangeMatcher | undefined {
  let best: { matcher: RangeMatcher; length: number } | undefined;
  const parsed = ipaddr.parse(address);
  for (const matcher of matchers) {
    for (const { addressPrefix, prefixLen } of matcher.ranges) {
      const prefix = ipaddr.parse(addressPrefix);
      // An unset length is 0, which takes every address of the family.
      const length = prefixLen?.valueOf() ?? 0;
      if (prefix.kind() !== parsed.kind() || !parsed.match(prefix, Number(length))) continue;
      if (best === undefined || Number(length) > best.length) best = { matcher, length: Number(length) };
    }
  }
  return best?.matcher;
}

/** A connection as the listener filters describe it; without TLS there is neither server name nor ALPN. */
export interface Arrival {
  readonly port: number;
  readonly tls: { readonly sni: string; readonly alpn: readonly string[] } | undefined;
}

/**
 * By the criteria of each chain, in Envoy's order: port, server name, transport, ALPN; at each step the chains that ask for
 * what came win over those that do not ask. Two chains that ask the same are an error, as Envoy refuses the whole listener.
 */
export function chainByCriteria(listener: Listener, arrival: Arrival): FilterChain | undefined {
  let left = listener.filterChains;
  for (const step of STEPS) {
    const asking = left.filter((chain) => step(chain, arrival) === 'yes');
    left = asking.length > 0 ? asking : left.filter((chain) => step(chain, arrival) === 'does not ask');
  }
  if (left.length > 1)
    throw new Error(`Envoy would refuse ${left.map(({ name }) => name).join(' and ')}: same criteria`);
  return left[0] ?? listener.defaultFilterChain;
}

type Answer = 'yes' | 'no' | 'does not ask';

function asked(asks: boolean, holds: boolean): Answer {
  if (!asks) return 'does not ask';
  return holds ? 'yes' : 'no';
}

const STEPS: readonly ((chain: FilterChain, arrival: Arrival) => Answer)[] = [
  ({ filterChainMatch: match }, { port }) =>
    asked(match?.destinationPort !== undefined, match?.destinationPort === port),
  ({ filterChainMatch: match }, { tls }) =>
    asked((match?.serverNames.length ?? 0) > 0, tls !== undefined && match?.serverNames.includes(tls.sni) === true),
  ({ filterChainMatch: match }, { tls }) =>
    asked(
      (match?.transportProtocol ?? '') !== '',
      (tls === undefined ? 'raw_buffer' : 'tls') === match?.transportProtocol,
    ),
  ({ filterChainMatch: match }, { tls }) =>
    asked(
      (match?.applicationProtocols.length ?? 0) > 0,
      tls?.alpn.some((name) => match?.applicationProtocols.includes(name)) === true,
    ),
];
