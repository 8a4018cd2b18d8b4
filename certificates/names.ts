/** What a certificate calls its holder: the same names whoever signs. */

/** A service account. */
export interface Account {
  readonly namespace: string;
  readonly name: string;
}

export interface CertificateNames {
  /** Undefined for whoever is no workload: sidecars take nobody for one without it. */
  readonly uri: string | undefined;
  readonly dns: readonly [string, ...string[]];
  /** The first DNS name where it fits; undefined where it is longer than X.520 allows. */
  readonly commonName: string | undefined;
}

export interface WorkloadNames extends CertificateNames {
  /** `spiffe://<trust domain>/ns/<namespace>/sa/<account>`: what peers check. */
  readonly uri: string;
  /** `<account>.<namespace>.<trust domain>`. */
  readonly dns: readonly [string];
}

/** X.520 allows no longer common name, and OpenSSL and Vault refuse one. */
const longestCommonName = 64;

export function workloadNames({ namespace, name }: Account, trustDomain: string): WorkloadNames {
  const dns = `${name}.${namespace}.${trustDomain}`;
  return { uri: `spiffe://${trustDomain}/ns/${namespace}/sa/${name}`, dns: [dns], commonName: asCommonName(dns) };
}

/** Of a server, or of a client that is known by DNS names. */
export function dnsNamesAlone(dns: readonly [string, ...string[]]): CertificateNames {
  return { uri: undefined, dns, commonName: asCommonName(dns[0]) };
}

/** As they stand in a certificate or in a request for one. */
export function asGeneralNames({ uri, dns }: CertificateNames): { type: 'url' | 'dns'; value: string }[] {
  const names = dns.map((value) => ({ type: 'dns' as const, value }));
  return uri === undefined ? names : [{ type: 'url', value: uri }, ...names];
}

/** The name where it may stand as a common name. */
export function asCommonName(name: string): string | undefined {
  return name.length > longestCommonName ? undefined : name;
}
