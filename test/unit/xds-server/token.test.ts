/** Every way in which a token can be wrong, each with its key. */
import assert from 'node:assert/strict';
import { exportJWK, generateKeyPair, type JSONWebKeySet, SignJWT, UnsecuredJWT } from 'jose';
import { type AuthenticatedProxy, createAuthenticator } from '#xds/server/auth.ts';
import type { Verified } from '#xds/server/refusal.ts';
import type { TokenClaims } from '#xds/server/token.ts';
import { createTokenVerifier } from '#xds/server/token.ts';

const ISSUER = 'https://kubernetes.default.svc';
const NOW = Date.parse('2026-01-01T00:00:00Z');
const CLAIMS: TokenClaims = {
  namespace: 'shop',
  pod: 'web-1',
  podUid: 'pod-uid',
  account: 'web.v2',
  accountUid: 'sa-uid',
};
const NODE = 'shop/web-1/pod-uid';

async function keyPair(alg: 'RS256' | 'ES256' | 'PS256', kid: string) {
  const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true });
  return { alg, kid, privateKey, jwk: { ...(await exportJWK(publicKey)), kid, use: 'sig' } };
}

type Key = Awaited<ReturnType<typeof keyPair>>;

function kubernetes(claims: TokenClaims): object {
  return {
    namespace: claims.namespace,
    pod: { name: claims.pod, uid: claims.podUid },
    serviceaccount: { name: claims.account, uid: claims.accountUid },
  };
}

interface Change {
  readonly key?: Key;
  readonly issuer?: string;
  readonly audience?: string;
  readonly expires?: number;
  readonly notBefore?: number;
  readonly payload?: Record<string, unknown>;
}

describe('authentication of a stream', () => {
  let rsa: Key;
  let ec: Key;
  let stranger: Key;
  let pss: Key;
  let served: JSONWebKeySet;
  let fetches: number;
  let reviewed: string[];
  let reviewAnswer: TokenClaims | undefined;
  let now: number;

  before(async () => {
    [rsa, ec, stranger, pss] = await Promise.all([
      keyPair('RS256', 'rsa'),
      keyPair('ES256', 'ec'),
      keyPair('RS256', 'rsa'),
      keyPair('PS256', 'pss'),
    ]);
  });

  beforeEach(() => {
    served = { keys: [rsa.jwk, ec.jwk, pss.jwk] };
    fetches = 0;
    reviewed = [];
    reviewAnswer = undefined;
    now = NOW;
  });

  function token({
    key = rsa,
    issuer = ISSUER,
    audience = 'osm',
    expires = 3600,
    notBefore = -10,
    payload,
  }: Change = {}) {
    return new SignJWT(payload ?? { 'kubernetes.io': kubernetes(CLAIMS) })
      .setProtectedHeader({ alg: key.alg, kid: key.kid })
      .setIssuer(issuer)
      .setAudience(audience)
      .setIssuedAt(NOW / 1000 - 10)
      .setNotBefore(NOW / 1000 + notBefore)
      .setExpirationTime(NOW / 1000 + expires)
      .sign(key.privateKey);
  }

  function authenticator(
    pod = { uid: 'pod-uid', account: 'shop/web.v2' as const },
    accountUid: string | undefined = 'sa-uid',
  ) {
    const verifier = createTokenVerifier({
      audience: 'osm',
      now: () => now,
      fetchKeys: async () => {
        fetches += 1;
        return { issuer: ISSUER, keys: served };
      },
      review: async (text) => {
        reviewed.push(text);
        return reviewAnswer;
      },
    });
    return createAuthenticator({
      verifier,
      directory: { pod: async (_, name) => (name === 'web-1' ? pod : undefined), accountUid: async () => accountUid },
    });
  }

  const says = (node: string | undefined) => () => Promise.resolve(node);

  function key(result: Verified<AuthenticatedProxy>): string {
    return result.ok ? 'accepted' : result.refusal.key;
  }

  it('accepts RS256 and ES256, with and without "Bearer "', async () => {
    const result = await authenticator().authenticate(await token(), says(NODE));
    assert.deepEqual(result, {
      ok: true,
      value: { namespace: 'shop', pod: 'web-1', podUid: 'pod-uid', account: 'shop/web.v2', accountUid: 'sa-uid' },
    });
    assert.equal(key(await authenticator().authenticate(`Bearer ${await token({ key: ec })}`, says(NODE))), 'accepted');
    assert.deepEqual(reviewed, [], 'the API server is not asked about tokens that can be verified here');
  });

  const other: [string, () => Promise<string> | string, string][] = [
    ['no token', () => '', 'token-missing'],
    ['another audience', () => token({ audience: 'https://kubernetes.default.svc' }), 'token-audience'],
    ['expired', () => token({ expires: -1 }), 'token-expired'],
    ['not yet valid', () => token({ notBefore: 60 }), 'token-not-yet-valid'],
    ['another key under a known id', () => token({ key: stranger }), 'token-signature'],
    ['an unknown key id', () => token({ key: { ...stranger, kid: 'unknown' } }), 'token-signature'],
    ['another issuer', () => token({ issuer: 'https://elsewhere' }), 'token-issuer'],
    ['no JWT', () => 'secret-of-another-kind', 'token-malformed'],
    [
      'alg none',
      () => new UnsecuredJWT({ 'kubernetes.io': kubernetes(CLAIMS) }).setIssuer(ISSUER).setAudience('osm').encode(),
      'token-algorithm',
    ],
    ['an algorithm that is not ours', () => token({ key: pss }), 'token-algorithm'],
    ['no pod', () => token({ payload: { 'kubernetes.io': { namespace: 'shop' } } }), 'token-not-a-pod'],
    [
      'another pod',
      () => token({ payload: { 'kubernetes.io': kubernetes({ ...CLAIMS, pod: 'web-2' }) } }),
      'pod-mismatch',
    ],
    [
      'another pod uid',
      () => token({ payload: { 'kubernetes.io': kubernetes({ ...CLAIMS, podUid: 'x' }) } }),
      'pod-mismatch',
    ],
    [
      'another account',
      () => token({ payload: { 'kubernetes.io': kubernetes({ ...CLAIMS, account: 'web' }) } }),
      'account-changed',
    ],
  ];
  for (const [what, make, expected] of other) {
    it(`refuses: ${what} → ${expected}`, async () => {
      const text = await make();
      const result = await authenticator().authenticate(text, says(NODE));
      assert.equal(key(result), expected);
      assert.ok(text === '' || !JSON.stringify(result).includes(text), 'a refusal must not contain the token');
    });
  }

  it('refuses a pod that is gone, one that came back under its name, and a re-created account', async () => {
    const reborn = { uid: 'new', account: 'shop/web.v2' as const };
    assert.equal(key(await authenticator(reborn).authenticate(await token(), says(NODE))), 'pod-gone');
    const gone = await token({ payload: { 'kubernetes.io': kubernetes({ ...CLAIMS, pod: 'gone' }) } });
    assert.equal(key(await authenticator().authenticate(gone, says('shop/gone/pod-uid'))), 'pod-gone');
    assert.equal(key(await authenticator(undefined, 'new').authenticate(await token(), says(NODE))), 'account-changed');
  });

  it('refuses a node id of another form', async () => {
    for (const node of [undefined, '', 'web-1', 'shop/web-1', `${NODE}/more`]) {
      assert.equal(
        key(await authenticator().authenticate(await token(), says(node))),
        'node-id-malformed',
        String(node),
      );
    }
  });

  it('fetches the keys again for an unknown id, but not more often than the floor', async () => {
    served = { keys: [rsa.jwk] };
    const one = authenticator();
    assert.equal(key(await one.authenticate(await token(), says(NODE))), 'accepted');
    served = { keys: [rsa.jwk, ec.jwk] };
    assert.equal(key(await one.authenticate(await token({ key: ec }), says(NODE))), 'token-signature');
    assert.equal(fetches, 1, 'the floor has not passed');
    now += 10_000;
    assert.equal(key(await one.authenticate(await token({ key: ec }), says(NODE))), 'accepted');
    assert.equal(fetches, 2);
  });

  it('believes a key that the API server has withdrawn for minutes alone', async () => {
    const one = authenticator();
    assert.equal(key(await one.authenticate(await token(), says(NODE))), 'accepted');
    served = { keys: [ec.jwk] };
    now += 299_999;
    assert.equal(key(await one.authenticate(await token(), says(NODE))), 'accepted');
    assert.equal(fetches, 1);
    now += 1;
    assert.equal(key(await one.authenticate(await token(), says(NODE))), 'accepted', 'nobody waits for the fetch');
    assert.equal(fetches, 2);
    assert.equal(key(await one.authenticate(await token(), says(NODE))), 'token-signature');
    assert.equal(key(await one.authenticate(await token({ key: ec }), says(NODE))), 'accepted');
    assert.equal(fetches, 2);
  });

  it('asks the API server about an unknown issuer or key, and believes it', async () => {
    reviewAnswer = CLAIMS;
    const one = authenticator();
    assert.equal(key(await one.authenticate(await token({ issuer: 'https://second' }), says(NODE))), 'accepted');
    assert.equal(
      key(await one.authenticate(await token({ key: { ...stranger, kid: 'unknown' } }), says(NODE))),
      'accepted',
    );
    assert.equal(reviewed.length, 2);
    reviewAnswer = { ...CLAIMS, pod: 'web-2' };
    assert.equal(key(await one.authenticate(await token({ issuer: 'https://second' }), says(NODE))), 'pod-mismatch');
  });

  it('asks it so many times a second and no more, whoever sends the tokens', async () => {
    const one = authenticator();
    const foreign = await token({ issuer: 'https://second' });
    const keys: string[] = [];
    for (let index = 0; index < 60; index += 1) keys.push(key(await one.authenticate(foreign, says(NODE))));
    assert.deepEqual([...new Set(keys)], ['token-issuer', 'review-limit']);
    assert.equal(reviewed.length, 50);
    assert.equal(key(await one.authenticate(await token(), says(NODE))), 'accepted', 'good ones need no review');
    now += 1_000;
    assert.equal(key(await one.authenticate(foreign, says(NODE))), 'token-issuer');
    assert.equal(reviewed.length, 51);
  });
});
