/** What a workload certificate calls its account: the same names whoever signs. */

/** A service account. */
export interface Account {
  readonly namespace: string;
  readonly name: string;
}

export interface WorkloadNames {
  /** `spiffe://<trust domain>/ns/<namespace>/sa/<account>`: what peers check. */
  readonly uri: string;
  /** `<account>.<namespace>.<trust domain>`. */
  readonly dns: string;
  /** The DNS name where it fits; undefined where it is longer than X.520 allows. */
  readonly commonName: string | undefined;
}

/** X.520 allows no longer common name, and OpenSSL and Vault refuse one. */
const longestCommonName = 64;

export function workloadNames({ namespace, name }: Account, trustDomain: string): WorkloadNames {
  const dns = `${name}.${namespace}.${trustDomain}`;
  return { uri: `spiffe://${trustDomain}/ns/${namespace}/sa/${name}`, dns, commonName: asCommonName(dns) };
}

/** The name where it may stand as a common name. */
export function asCommonName(name: string): string | undefined {
  return name.length > longestCommonName ? undefined : name;
}
