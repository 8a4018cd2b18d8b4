/** What the controller asks the API server about callers: its signing keys, single tokens, and rights. */
import type { KubernetesClient } from '#kubernetes/types.ts';
import type { TokenClaims } from '#xds/server/token.ts';
import type { TokenVerifierOptions } from '#xds/server/token.ts';
import { record, text, texts } from './parse/json.ts';

type Client = Pick<KubernetesClient, 'request'>;

/** Issuer and key set, from the API server's discovery documents. */
export async function fetchSigningKeys(client: Client): ReturnType<TokenVerifierOptions['fetchKeys']> {
  const [discovery, keys] = await Promise.all([
    client.request<unknown>('GET', '/.well-known/openid-configuration'),
    client.request<Awaited<ReturnType<TokenVerifierOptions['fetchKeys']>>['keys']>('GET', '/openid/v1/jwks'),
  ]);
  return { issuer: text(record(discovery)['issuer']), keys };
}

/** TokenReview of a sidecar's token: claims of a pod-bound token that the API server vouches for. */
export async function reviewPodToken(
  client: Client,
  token: string,
  audience: string,
): Promise<TokenClaims | undefined> {
  const status = await tokenReview(client, token, [audience]);
  if (status['authenticated'] !== true || !texts(status['audiences']).includes(audience)) return undefined;
  const user = record(status['user']);
  const extra = record(user['extra']);
  const [, , namespace, account] = text(user['username']).split(':');
  const [pod] = texts(extra['authentication.kubernetes.io/pod-name']);
  const [podUid] = texts(extra['authentication.kubernetes.io/pod-uid']);
  const accountUid = text(user['uid']);
  if (!namespace || !account || !pod || !podUid || !accountUid) return undefined;
  return { namespace, account, accountUid, pod, podUid };
}

export interface Caller {
  readonly username: string;
  readonly uid: string;
  readonly groups: readonly string[];
  readonly extra: Readonly<Record<string, unknown>>;
}

/** Who an API caller is, by the token that it uses for the API server itself. */
export async function reviewCaller(client: Client, token: string): Promise<Caller | undefined> {
  const status = await tokenReview(client, token, undefined);
  if (status['authenticated'] !== true) return undefined;
  const user = record(status['user']);
  return {
    username: text(user['username']),
    uid: text(user['uid']),
    groups: texts(user['groups']),
    extra: record(user['extra']),
  };
}

/** Parts of the API that a Role can grant, as subresources of the MeshConfig that exist for this purpose alone. */
export type ApiPart = 'problems' | 'proxies' | 'debug';

/**
 * Whether a caller may `get` a part of the API: `meshconfigs/<part>` in the control plane's namespace. Not a
 * non-resource URL, which would be the obvious choice: Kubernetes grants every account `/api/*` (system:discovery).
 */
export async function mayGet(client: Client, caller: Caller, part: ApiPart, namespace: string): Promise<boolean> {
  const answer = await client.request<unknown>('POST', '/apis/authorization.k8s.io/v1/subjectaccessreviews', {
    apiVersion: 'authorization.k8s.io/v1',
    kind: 'SubjectAccessReview',
    spec: {
      user: caller.username,
      uid: caller.uid,
      groups: caller.groups,
      extra: caller.extra,
      resourceAttributes: {
        verb: 'get',
        group: 'config.openservicemesh.io',
        resource: 'meshconfigs',
        subresource: part,
        name: 'osm-mesh-config',
        namespace,
      },
    },
  });
  return record(record(answer)['status'])['allowed'] === true;
}

async function tokenReview(client: Client, token: string, audiences: readonly string[] | undefined) {
  const answer = await client.request<unknown>('POST', '/apis/authentication.k8s.io/v1/tokenreviews', {
    apiVersion: 'authentication.k8s.io/v1',
    kind: 'TokenReview',
    spec: audiences === undefined ? { token } : { token, audiences },
  });
  return record(record(answer)['status']);
}
