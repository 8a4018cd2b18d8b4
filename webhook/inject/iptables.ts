/**
 * The redirect rules of a pod, in the format of iptables-restore, once for IPv4 and once for IPv6. Own chains are named
 * as they always were; declaring them flushes them, so that a second run of the init container leaves the same rules.
 */
import { ADMIN_PORT, INBOUND_PORT, METRICS_PORT, OUTBOUND_PORT, SIDECAR_USER } from './names.ts';
import { FIRST_RAW_PROBE_PORT, LAST_RAW_PROBE_PORT, PROBE_PORTS, READY_PORT } from './names.ts';
import { isIpv6Range } from './lists.ts';

export interface RedirectOptions {
  readonly localProxyMode: 'Localhost' | 'PodIP';
  /** CIDRs of both families; each goes to its family's rules. */
  readonly outboundRangeExclusions: readonly string[];
  readonly outboundRangeInclusions: readonly string[];
  readonly outboundPortExclusions: readonly number[];
  readonly inboundPortExclusions: readonly number[];
  readonly interfaceExclusions: readonly string[];
}

export type Family = 4 | 6;

const IN = 'OSM_PROXY_INBOUND';
const IN_REDIRECT = 'OSM_PROXY_IN_REDIRECT';
const OUT = 'OSM_PROXY_OUTBOUND';
const OUT_REDIRECT = 'OSM_PROXY_OUT_REDIRECT';

/** Ports that the kubelet and Prometheus reach without mTLS. */
const EXEMPT_PORTS = [
  `${METRICS_PORT}`,
  `${PROBE_PORTS.liveness}:${READY_PORT}`,
  `${FIRST_RAW_PROBE_PORT}:${LAST_RAW_PROBE_PORT}`,
];

/** Input of `iptables-restore --noflush` (4) or `ip6tables-restore --noflush` (6): our chains, and no way into them yet. */
export function redirectRules(options: RedirectOptions, family: Family): string {
  const loopback = loopbackOf(family);
  const user = `-m owner --uid-owner ${SIDECAR_USER}`;
  const ofFamily = (ranges: readonly string[]) => ranges.filter((range) => isIpv6Range(range) === (family === 6));
  const inclusions = ofFamily(options.outboundRangeInclusions);
  const outbound = `-A ${OUT}`;
  const inbound = `-A ${IN}`;
  return lines([
    '*nat',
    `:${IN} - [0:0]`,
    `:${IN_REDIRECT} - [0:0]`,
    `:${OUT} - [0:0]`,
    `:${OUT_REDIRECT} - [0:0]`,

    `-A ${IN_REDIRECT} -p tcp -j REDIRECT --to-ports ${INBOUND_PORT}`,
    // Exclusions stand first.
    ...portChunks(options.inboundPortExclusions).map(
      (ports) => `${inbound} -p tcp -m multiport --dports ${ports} -j RETURN`,
    ),
    ...options.interfaceExclusions.map((name) => `${inbound} -i ${name} -j RETURN`),
    ...EXEMPT_PORTS.map((ports) => `${inbound} -p tcp --dport ${ports} -j RETURN`),
    `${inbound} -p tcp -j ${IN_REDIRECT}`,

    // Before the redirect, or it would never be reached.
    `-A ${OUT_REDIRECT} -p tcp --dport ${ADMIN_PORT} -j ACCEPT`,
    `-A ${OUT_REDIRECT} -p tcp -j REDIRECT --to-ports ${OUTBOUND_PORT}`,
    // The application calls itself through its Service: the sidecar's connection to the pod's own address is inbound.
    `${outbound} -o lo ! -d ${loopback} ${user} -j ${IN_REDIRECT}`,
    `${outbound} -o lo -m owner ! --uid-owner ${SIDECAR_USER} -j RETURN`,
    `${outbound} ${user} -j RETURN`,
    `${outbound} -d ${loopback} -j RETURN`,
    ...options.interfaceExclusions.map((name) => `${outbound} -o ${name} -j RETURN`),
    ...ofFamily(options.outboundRangeExclusions).map((range) => `${outbound} -d ${range} -j RETURN`),
    ...portChunks(options.outboundPortExclusions).map(
      (ports) => `${outbound} -p tcp -m multiport --dports ${ports} -j RETURN`,
    ),
    // An inclusion list of one family only says that nothing of the other is redirected.
    ...(options.outboundRangeInclusions.length > 0
      ? [...inclusions.map((range) => `${outbound} -d ${range} -p tcp -j ${OUT_REDIRECT}`), `${outbound} -j RETURN`]
      : [`${outbound} -p tcp -j ${OUT_REDIRECT}`]),
    'COMMIT',
  ]);
}

interface Jump {
  readonly chain: 'PREROUTING' | 'OUTPUT';
  readonly at: '-A' | '-I';
  readonly rule: string;
}

/** The rules of built-in chains, which lead into ours. They are not ours to flush: each is added where it is missing. */
function jumps(options: RedirectOptions, family: Family): Jump[] {
  const all: Jump[] = [
    { chain: 'PREROUTING', at: '-A', rule: `-p tcp -j ${IN}` },
    { chain: 'OUTPUT', at: '-A', rule: `-p tcp -j ${OUT}` },
  ];
  if (options.localProxyMode === 'PodIP') {
    const match = `-p tcp -o lo -d ${loopbackOf(family)} -m owner --uid-owner ${SIDECAR_USER}`;
    all.push({ chain: 'OUTPUT', at: '-I', rule: `${match} -j DNAT --to-destination "$address"` });
  }
  return all;
}

/**
 * The shell script of the init container. Its environment: POD_IPS, the pod's addresses with commas between them.
 * IPv6 is redirected wherever the pod has the protocol at all: a link-local address would otherwise lead around the mesh.
 */
export function redirectScript(options: RedirectOptions): string {
  const family = (which: Family, program: string) =>
    lines([
      `${program === 'iptables' ? 'redirect4' : 'redirect6'}() {`,
      `  ${program}-restore --noflush <<'RULES' || return 1`,
      `${redirectRules(options, which)}RULES`,
      // The chains are full before anything leads into them.
      ...jumps(options, which).map(
        ({ chain, at, rule }) =>
          `  ${program} -w 5 -t nat -C ${chain} ${rule} 2>/dev/null || ${program} -w 5 -t nat ${at} ${chain} ${rule} || return 1`,
      ),
      '}',
    ]);
  return lines([
    'set -eu',
    family(4, 'iptables').trimEnd(),
    family(6, 'ip6tables').trimEnd(),
    // The first address of a family: the destination of the PodIP rule.
    `first() { for one in $(echo "$POD_IPS" | tr , ' '); do case "$one" in *:*) found=6 ;; *) found=4 ;; esac; [ "$found" = "$1" ] && echo "$one" && return; done; echo "$2"; }`,
    `address=$(first 4 ${loopbackOf(4).split('/')[0]})`,
    'redirect4',
    `address=$(first 6 ${loopbackOf(6).split('/')[0]})`,
    'case "$POD_IPS" in',
    '  *:*) redirect6 ;;',
    '  *) if [ -s /proc/net/if_inet6 ]; then redirect6 || echo "osm-init: IPv6 is on, but ip6tables does not work here; the pod has no IPv6 address, so this is left" >&2; fi ;;',
    'esac',
  ]);
}

function loopbackOf(family: Family): string {
  return family === 4 ? '127.0.0.1/32' : '::1/128';
}

/** multiport takes at most 15 ports a rule. */
function portChunks(ports: readonly number[]): string[] {
  const chunks: string[] = [];
  for (let start = 0; start < ports.length; start += 15) chunks.push(ports.slice(start, start + 15).join(','));
  return chunks;
}

function lines(all: readonly string[]): string {
  return `${all.join('\n')}\n`;
}
