/** Makes a client certificate by hand for an account, signed by the mesh's own root: more than any pod can do. */
import { parseAuthority } from '#certificates/ca.ts';
import { issueWorkload } from '#certificates/leaf.ts';
import { SecretBytes } from '#certificates/secret-bytes.ts';
import { lab } from './lab.ts';

const HOUR_MS = 3_600_000;

/** PEM for `tls.connect`: a certificate of `account` (`namespace/name`), valid for an hour. */
export async function makeClientCertificate(account: string): Promise<{ cert: string; key: string }> {
  const [namespace, name] = account.split('/') as [string, string];
  const secret = await lab.json<{ data: Record<string, string> }>([
    'get',
    'secret',
    '-n',
    'osm-system',
    'osm-ca-bundle',
  ]);
  const text = (key: string): string => Buffer.from(secret.data[key] ?? '', 'base64').toString();
  const now = Date.now();
  const authority = await parseAuthority(text('ca.crt'), new SecretBytes(text('private.key')), now);
  const issued = await issueWorkload(authority, { namespace, name }, 'cluster.local', { now, lifetimeMs: HOUR_MS });
  return { cert: issued.chainPem, key: issued.privateKey.revealText() };
}
