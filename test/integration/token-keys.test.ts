/** Tokens of a real API server, signed as the clusters of this world sign them, and a change of its keys while we serve. */
import assert from 'node:assert/strict';
import { decodeJwt, decodeProtectedHeader, generateKeyPair, SignJWT } from 'jose';
import { fetchSigningKeys, reviewPodToken } from '#controller/reviews.ts';
import { type Client, createClient } from '#kubernetes/client.ts';
import { type ApiServer, startApiServer } from '#test/support/apiserver.ts';
import { createTokenVerifier, type TokenVerifier } from '#xds/server/token.ts';
import { applyAll, podToken, runPod } from './controller-support.ts';

const FLOOR_MS = 10_000;
const POD = { name: 'web-1', account: 'web' };

for (const [type, algorithm, next, nextAlgorithm] of [
  ['RSA', 'RS256', 'P-256', 'ES256'],
  ['P-256', 'ES256', 'RSA', 'RS256'],
] as const) {
  describe(`tokens of an API server with a key of type ${type}`, function () {
    this.timeout(120_000);
    let server: ApiServer;
    let admin: Client;
    let verifier: TokenVerifier;
    let uid: string;
    let fetches = 0;
    let reviews = 0;
    /** By how much the verifier's clock runs ahead, in milliseconds. */
    let ahead = 0;

    before(async () => {
      server = await startApiServer({ serviceAccountKey: type });
      admin = createClient(server.clientOptions);
      await applyAll(admin, [{ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shop' } }]);
      uid = await runPod(admin, 'shop', POD.name, { account: POD.account, ip: '10.0.0.1' });
      verifier = createTokenVerifier({
        audience: 'osm',
        now: () => Date.now() + ahead,
        fetchFloorMs: FLOOR_MS,
        fetchKeys: () => {
          fetches += 1;
          return fetchSigningKeys(admin);
        },
        review: (token) => {
          reviews += 1;
          return reviewPodToken(admin, token, 'osm');
        },
      });
    });

    after(async () => {
      admin?.close();
      await server?.stop();
    });

    const token = (): Promise<string> => podToken(admin, 'shop', { ...POD, uid });

    async function verdict(text: string): Promise<string> {
      const result = await verifier.verify(text);
      return result.ok ? `${result.value.namespace}/${result.value.pod}/${result.value.podUid}` : result.refusal.key;
    }

    /** The genuine token by a key that nobody knows, under an id that nobody has heard of. */
    async function forged(kid: string): Promise<string> {
      const { privateKey } = await generateKeyPair(algorithm);
      return new SignJWT(decodeJwt(await token())).setProtectedHeader({ alg: algorithm, kid }).sign(privateKey);
    }

    it(`are ${algorithm}, and verified here with one fetch of the key set`, async () => {
      const text = await token();
      assert.equal(decodeProtectedHeader(text).alg, algorithm);
      assert.equal(await verdict(text), `shop/web-1/${uid}`);
      assert.equal(await verdict(await token()), `shop/web-1/${uid}`);
      assert.deepEqual([fetches, reviews], [1, 0]);
    });

    it('under unknown key ids do not make us fetch more often than the floor allows', async () => {
      for (const kid of ['a', 'b', 'c']) assert.equal(await verdict(await forged(kid)), 'token-signature');
      assert.equal(fetches, 1, 'the floor has not passed');
      ahead = FLOOR_MS;
      const forgeries = await Promise.all(['d', 'e', 'f', 'g'].map(forged));
      const verdicts = await Promise.all(forgeries.map(verdict));
      assert.deepEqual(new Set(verdicts), new Set(['token-signature']));
      assert.equal(fetches, 2, 'one fetch for all of them');
    });

    it(`by a new key, ${nextAlgorithm}, are taken: by the API server's word at first, and then by one more fetch`, async () => {
      const former = await token();
      reviews = 0;
      await server.rotateServiceAccountKey(next);
      const text = await token();
      assert.equal(decodeProtectedHeader(text).alg, nextAlgorithm);
      assert.equal(await verdict(text), `shop/web-1/${uid}`);
      assert.deepEqual([fetches, reviews], [2, 1], 'within the floor the API server is asked about the token itself');
      ahead = 2 * FLOOR_MS;
      assert.equal(await verdict(text), `shop/web-1/${uid}`);
      assert.equal(await verdict(await token()), `shop/web-1/${uid}`);
      assert.equal(await verdict(former), `shop/web-1/${uid}`, 'both keys are published');
      assert.deepEqual([fetches, reviews], [3, 1], 'one fetch, and nothing is asked any more');
    });
  });
}
