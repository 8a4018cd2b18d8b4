/**
 * Who is at the other end of a stream (design 3.2). The proof is the pod's projected service-account token; what Envoy
 * says of itself (`node.id`) only has to agree with it.
 */
import { accountKey, type AccountKey } from '#mesh/identity.ts';
import { refuse, type Verified } from './refusal.ts';
import type { TokenVerifier } from './token.ts';

export interface AuthenticatedProxy {
  readonly namespace: string;
  readonly pod: string;
  readonly podUid: string;
  readonly account: AccountKey;
  readonly accountUid: string;
}

/** The pods and accounts that exist now. */
export interface Directory {
  /** The pod of that name: from the store, or looked up and waited for (up to 5 s) when it is not there yet. */
  pod(namespace: string, name: string, uid: string): Promise<{ uid: string; account: AccountKey } | undefined>;
  /** UID of a service account; undefined when there is none. */
  accountUid(account: AccountKey): Promise<string | undefined>;
}

export interface Authenticator {
  /** `askNodeId` is called when the token is good, and not before: nobody else's messages need be read. */
  authenticate(
    authorization: string | undefined,
    askNodeId: () => Promise<string | undefined>,
  ): Promise<Verified<AuthenticatedProxy>>;
}

export function createAuthenticator(options: { verifier: TokenVerifier; directory: Directory }): Authenticator {
  const { verifier, directory } = options;
  return {
    async authenticate(authorization, askNodeId) {
      const token = tokenIn(authorization);
      if (token === '') return refuse('token-missing', 'the stream carries no authorization header');
      const verified = await verifier.verify(token);
      if (!verified.ok) return verified;
      const claims = verified.value;
      const nodeId = await askNodeId();
      const node = parseNodeId(nodeId);
      if (node === undefined) {
        return refuse('node-id-malformed', 'node.id is not <namespace>/<pod>/<pod uid>');
      }
      if (node.namespace !== claims.namespace || node.pod !== claims.pod || node.uid !== claims.podUid) {
        return refuse('pod-mismatch', `node.id names ${nodeId}, the token pod ${claims.namespace}/${claims.pod}`);
      }
      const account = accountKey(claims.namespace, claims.account);
      const pod = await directory.pod(claims.namespace, claims.pod, claims.podUid);
      if (pod?.uid !== claims.podUid) {
        return refuse('pod-gone', `pod ${claims.namespace}/${claims.pod} with the token's UID does not exist`);
      }
      if (pod.account !== account || (await directory.accountUid(account)) !== claims.accountUid) {
        return refuse('account-changed', `service account ${account} is not the one that the token was made for`);
      }
      return {
        ok: true,
        value: {
          namespace: claims.namespace,
          pod: claims.pod,
          podUid: claims.podUid,
          account,
          accountUid: claims.accountUid,
        },
      };
    },
  };
}

/** Of an authorization header; empty when there is none. */
export function tokenIn(authorization: string | undefined): string {
  return authorization?.replace(/^bearer\s+/i, '').trim() ?? '';
}

function parseNodeId(nodeId: string | undefined): { namespace: string; pod: string; uid: string } | undefined {
  const [namespace, pod, uid, ...rest] = (nodeId ?? '').split('/');
  if (!namespace || !pod || !uid || rest.length > 0) return undefined;
  return { namespace, pod, uid };
}
