/**
 * Workload identity: one per service account. The SPIFFE form `spiffe://<trust domain>/ns/<namespace>/sa/<account>`
 * is the only one that peers check, so that account names with dots stay unambiguous.
 */

/** A service account as `<namespace>/<name>`; neither part can contain a slash. */
export type AccountKey = `${string}/${string}`;

export function accountKey(namespace: string, name: string): AccountKey {
  return `${namespace}/${name}`;
}

export function splitAccountKey(key: AccountKey): { namespace: string; name: string } {
  const slash = key.indexOf('/');
  return { namespace: key.slice(0, slash), name: key.slice(slash + 1) };
}

/** The URI SAN of an account's certificate in one trust domain. */
export function spiffeId(trustDomain: string, key: AccountKey): string {
  const { namespace, name } = splitAccountKey(key);
  return `spiffe://${trustDomain}/ns/${namespace}/sa/${name}`;
}

/** The RE2 full match for an account's URI SAN in any trust domain: trust domains live only in the `roots` secret. */
export function spiffePattern(key: AccountKey): string {
  const { namespace, name } = splitAccountKey(key);
  return `spiffe://[^/]+/ns/${escapeRegex(namespace)}/sa/${escapeRegex(name)}`;
}

/** Escapes what RE2 would read as an operator. */
export function escapeRegex(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');
}
