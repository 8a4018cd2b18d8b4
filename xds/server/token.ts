/** Verifies projected service-account tokens: locally by the API server's key set, by TokenReview where that cannot. */
import { createLocalJWKSet, decodeJwt, errors, type JSONWebKeySet, type JWTPayload, jwtVerify } from 'jose';
import { createBudget } from './budget.ts';
import { refuse, type Refusal, type Verified } from './refusal.ts';

/** Symmetric and unsigned algorithms are not negotiable: the token's own header must never choose them. */
const ALGORITHMS = ['RS256', 'ES256'];

/** What a verified token says. */
export interface TokenClaims {
  readonly namespace: string;
  readonly pod: string;
  readonly podUid: string;
  readonly account: string;
  readonly accountUid: string;
}

export interface TokenVerifier {
  verify(token: string): Promise<Verified<TokenClaims>>;
}

export interface TokenVerifierOptions {
  readonly audience: string;
  /** The API server's issuer and its key set. Throws when the API server cannot be asked. */
  readonly fetchKeys: () => Promise<{ readonly issuer: string; readonly keys: JSONWebKeySet }>;
  /** Asks the API server about one token; undefined when it does not vouch for it (audience included). */
  readonly review: (token: string) => Promise<TokenClaims | undefined>;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** Least time between two fetches of the key set, so that nobody can make us fetch by sending unknown key ids. */
  readonly fetchFloorMs?: number;
  /** A key set older than this is fetched again, so that a key that the API server has withdrawn is not believed for good. */
  readonly keysMaxAgeMs?: number;
  /** Reviews at the same time, and a second; more are refused, so that nobody can flood the API server through us. */
  readonly maxReviews?: number;
  readonly reviewsPerSecond?: number;
}

export function createTokenVerifier(options: TokenVerifierOptions): TokenVerifier {
  const { audience, fetchKeys, now, fetchFloorMs = 10_000, keysMaxAgeMs = 300_000 } = options;
  const { maxReviews = 8, reviewsPerSecond = 50 } = options;
  const budget = createBudget(reviewsPerSecond, now);
  let known: { issuer: string; resolve: ReturnType<typeof createLocalJWKSet> } | undefined;
  let fetchedAt = Number.NEGATIVE_INFINITY;
  let fetching: Promise<void> | undefined;
  let reviews = 0;

  /** Fetches the keys once for all who wait, and not more often than the floor says. */
  async function refresh(): Promise<void> {
    if (fetching !== undefined) return fetching;
    if (known !== undefined && now() - fetchedAt < fetchFloorMs) return undefined;
    fetchedAt = now();
    fetching = fetchKeys()
      .then(({ issuer, keys }) => {
        known = { issuer, resolve: createLocalJWKSet(keys) };
      })
      .finally(() => {
        fetching = undefined;
      });
    return fetching;
  }

  async function review(token: string, otherwise: Verified<TokenClaims>): Promise<Verified<TokenClaims>> {
    if (reviews >= maxReviews || !budget.take()) {
      return refuse('review-limit', 'too many tokens at once that the API server alone can judge');
    }
    reviews += 1;
    try {
      const claims = await options.review(token);
      return claims === undefined ? otherwise : { ok: true, value: claims };
    } catch {
      return refuse('keys-unavailable', 'the API server could not be asked to review the token');
    } finally {
      reviews -= 1;
    }
  }

  async function verifyLocally(token: string): Promise<Verified<TokenClaims> | 'no-key'> {
    if (known === undefined) return 'no-key';
    try {
      const { payload } = await jwtVerify(token, known.resolve, {
        algorithms: ALGORITHMS,
        issuer: known.issuer,
        audience,
        requiredClaims: ['exp'],
        currentDate: new Date(now()),
      });
      const claims = podClaims(payload);
      return claims === undefined
        ? refuse('token-not-a-pod', 'the token is bound to no pod: only projected tokens are')
        : { ok: true, value: claims };
    } catch (error) {
      if (error instanceof errors.JWKSNoMatchingKey) return 'no-key';
      return explain(error);
    }
  }

  return {
    async verify(token) {
      const issuer = unverifiedIssuer(token);
      if (issuer === undefined) return refuse('token-malformed', 'the token is not a JWT');
      try {
        if (known === undefined) await refresh();
      } catch {
        return refuse('keys-unavailable', "the API server's key set could not be fetched");
      }
      if (known !== undefined && issuer !== known.issuer) {
        return review(token, refuse('token-issuer', 'the token comes from an unknown issuer'));
      }
      // Nobody waits for it: an API server that is down must not keep sidecars from what is known.
      if (now() - fetchedAt >= keysMaxAgeMs) void refresh().catch(() => undefined);
      let result = await verifyLocally(token);
      if (result === 'no-key') {
        await refresh().catch(() => undefined);
        result = await verifyLocally(token);
      }
      if (result !== 'no-key') return result;
      return review(token, refuse('token-signature', 'the token is signed by no key of the API server'));
    },
  };
}

/** What a token says of itself, whoever made it, in the form of a node id. For the log only: nobody vouches for it. */
export function claimedNodeId(token: string): string | undefined {
  try {
    const claims = podClaims(decodeJwt(token));
    return claims && `${claims.namespace}/${claims.pod}/${claims.podUid}`;
  } catch {
    return undefined;
  }
}

function unverifiedIssuer(token: string): string | undefined {
  try {
    return decodeJwt(token).iss ?? '';
  } catch {
    return undefined;
  }
}

/** The failing check of a jose error, in our words. */
function explain(error: unknown): { ok: false; refusal: Refusal } {
  if (error instanceof errors.JWTExpired) return refuse('token-expired', 'the token has expired');
  if (error instanceof errors.JOSEAlgNotAllowed || error instanceof errors.JOSENotSupported) {
    return refuse('token-algorithm', `the token is not signed with one of ${ALGORITHMS.join(', ')}`);
  }
  if (error instanceof errors.JWSSignatureVerificationFailed) {
    return refuse('token-signature', "the token's signature does not match the API server's key");
  }
  if (error instanceof errors.JWKSMultipleMatchingKeys) {
    return refuse('token-signature', 'the token names no key id and several keys could have signed it');
  }
  if (error instanceof errors.JWTClaimValidationFailed) {
    switch (error.claim) {
      case 'aud':
        return refuse('token-audience', 'the token is meant for another audience');
      case 'iss':
        return refuse('token-issuer', 'the token comes from an unknown issuer');
      case 'nbf':
        return refuse('token-not-yet-valid', 'the token is not valid yet');
      default:
        return refuse('token-malformed', `the token's claim ${error.claim} is missing or wrong`);
    }
  }
  return refuse('token-malformed', 'the token cannot be read');
}

/** The `kubernetes.io` claims of a token that is bound to a pod. */
function podClaims(payload: JWTPayload): TokenClaims | undefined {
  const claim = payload['kubernetes.io'];
  const namespace = text(claim, 'namespace');
  const pod = text(field(claim, 'pod'), 'name');
  const podUid = text(field(claim, 'pod'), 'uid');
  const account = text(field(claim, 'serviceaccount'), 'name');
  const accountUid = text(field(claim, 'serviceaccount'), 'uid');
  if (!namespace || !pod || !podUid || !account || !accountUid) return undefined;
  return { namespace, pod, podUid, account, accountUid };
}

function field(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[name] : undefined;
}

function text(value: unknown, name: string): string | undefined {
  const found = field(value, name);
  return typeof found === 'string' ? found : undefined;
}
