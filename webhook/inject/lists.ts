/** Comma-separated values of annotations, read strictly: a typing error must not quietly open or close a hole. */
import ipaddr from 'ipaddr.js';

export type Parsed<T> = { readonly ok: true; readonly values: T[] } | { readonly ok: false; readonly bad: string };

/** Ports 1 to 65535, e.g. `6379, 7070`. Empty text and an absent annotation are an empty list. */
export function parsePorts(text: string | undefined): Parsed<number> {
  return parseEach(text, (item) => {
    if (!/^[0-9]{1,5}$/.test(item)) return undefined;
    const port = Number(item);
    return port >= 1 && port <= 65535 ? port : undefined;
  });
}

/** CIDRs of IPv4 or IPv6, e.g. `10.0.0.0/8, fd00::/8`; given back with the bits behind the prefix cleared. */
export function parseRanges(text: string | undefined): Parsed<string> {
  return parseEach(text, normalizeRange);
}

/** Undefined when the text is not a CIDR. */
export function normalizeRange(text: string): string | undefined {
  const dotted = /^\d{1,3}(\.\d{1,3}){3}\/\d{1,2}$/.test(text);
  if (!(dotted ? ipaddr.IPv4.isValidCIDR(text) : ipaddr.IPv6.isValidCIDR(text))) return undefined;
  const network = dotted ? ipaddr.IPv4.networkAddressFromCIDR(text) : ipaddr.IPv6.networkAddressFromCIDR(text);
  return `${network.toString()}/${text.slice(text.indexOf('/') + 1)}`;
}

export function isIpv6Range(range: string): boolean {
  return range.includes(':');
}

function parseEach<T>(text: string | undefined, parse: (item: string) => T | undefined): Parsed<T> {
  const values: T[] = [];
  if (text === undefined || text.trim() === '') return { ok: true, values };
  for (const item of text.split(',').map((one) => one.trim())) {
    const value = parse(item);
    if (value === undefined) return { ok: false, bad: item };
    values.push(value);
  }
  return { ok: true, values };
}
