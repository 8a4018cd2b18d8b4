/** Whoever asks the controller for configuration must prove which pod it is: each false proof is refused and logged with its reason. */
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { decodeJwt, importPKCS8, SignJWT } from 'jose';
import { eventually } from '#test/support/eventually.ts';
import { openDeltaStream } from './support/delta-stream.ts';
import { lab } from './support/lab.ts';
import { namespace, workload } from './support/manifests.ts';

const NS = 'tokens';

interface PodRef {
  readonly name: string;
  readonly uid: string;
}

describe('tokens', () => {
  let one: PodRef;
  let other: PodRef;
  const nodeId = (pod: PodRef): string => `${NS}/${pod.name}/${pod.uid}`;

  before(async () => {
    await lab.meshIsUp();
    await lab.apply([namespace(NS, true)]);
    await lab.apply([
      ...workload({ namespace: NS, name: 'one', command: ['sleep', 'infinity'] }),
      ...workload({ namespace: NS, name: 'other', command: ['sleep', 'infinity'] }),
    ]);
    await lab.rolledOut(NS, 'one', 'other');
    one = await lab.pod(NS, 'one');
    other = await lab.pod(NS, 'other');
  });

  /** A token of a pod as the kubelet would get it. */
  async function tokenFor(account: string, pod: PodRef, audience = 'osm'): Promise<string> {
    return (
      await lab.kubectl([
        'create',
        'token',
        account,
        '-n',
        NS,
        '--audience',
        audience,
        '--bound-object-kind',
        'Pod',
        '--bound-object-name',
        pod.name,
        '--bound-object-uid',
        pod.uid,
      ])
    ).trim();
  }

  /** Asks for clusters with a token and a node id; expects a refusal and its reason in the controllers' log. */
  async function refused(token: string | undefined, node: string, reason: RegExp): Promise<void> {
    const since = new Date().toISOString();
    const outcome = await openDeltaStream({ token, node, ...(await lab.controllerEndpoint()) });
    assert.equal(outcome.resources, 0, 'no configuration must arrive');
    assert.notEqual(outcome.error, undefined, 'the stream must end with an error');
    await eventually(`a log line with ${String(reason)}`, async () => {
      const log = await lab.kubectl([
        'logs',
        '-n',
        'osm-system',
        '-l',
        'app=osm-controller',
        '--since-time',
        since,
        '--tail=-1',
      ]);
      if (token !== undefined) assert.ok(!log.includes(token), 'the token itself must not be logged');
      return log.split('\n').some((line) => reason.test(line) && line.includes(node));
    });
  }

  it('the right token gets configuration', async () => {
    const outcome = await openDeltaStream({
      token: await tokenFor('one', one),
      node: nodeId(one),
      ...(await lab.controllerEndpoint()),
    });
    assert.equal(outcome.error, undefined);
    assert.ok(outcome.resources > 0);
  });

  it('no token', () => refused(undefined, nodeId(one), /token-missing/));

  it('another audience', async () =>
    refused(await tokenFor('one', one, 'someone-else'), nodeId(one), /token-audience/));

  it("another pod's node id", async () => refused(await tokenFor('one', one), nodeId(other), /pod-mismatch/));

  it('signed by another key', async () => {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const forged = await new SignJWT(decodeJwt(await tokenFor('one', one)))
      .setProtectedHeader({ alg: 'ES256', kid: 'forged' })
      .sign(privateKey);
    await refused(forged, nodeId(one), /token-signature|token-key/);
  });

  it('expired', async function () {
    const key = lab.serviceAccountKey();
    if (key === undefined) return this.skip();
    const genuine = await tokenFor('one', one);
    const { kid, alg } = JSON.parse(Buffer.from(genuine.split('.')[0]!, 'base64url').toString()) as {
      kid: string;
      alg: string;
    };
    const now = Math.floor(Date.now() / 1000);
    const expired = await new SignJWT({ ...decodeJwt(genuine), iat: now - 7200, nbf: now - 7200, exp: now - 3600 })
      .setProtectedHeader({ alg, kid })
      .sign(await importPKCS8(key, alg));
    await refused(expired, nodeId(one), /token-expired/);
  });

  it('of a pod that is gone', async () => {
    const token = await tokenFor('other', other);
    await lab.kubectl(['delete', 'pod', '-n', NS, other.name, '--now']);
    await eventually('the pod is gone', async () => (await lab.run(['get', 'pod', '-n', NS, other.name])).code !== 0);
    await refused(token, nodeId(other), /pod-gone/);
  });
});
