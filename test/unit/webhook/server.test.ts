import assert from 'node:assert/strict';
import { decodeReview, encodeReview } from '#webhook/admission-review.ts';
import { parsePorts, parseRanges } from '#webhook/inject/lists.ts';
import { reviewPod } from '#webhook/mutate.ts';
import { validatePolicy } from '#webhook/validate/policy.ts';

describe('admission reviews', () => {
  it('echo the UID, also of a review that cannot be used', () => {
    const decoded = decodeReview(JSON.stringify({ apiVersion: 'admission.k8s.io/v1', request: { uid: 'u1' } }));
    assert.deepEqual(decoded, { ok: false, uid: 'u1', message: 'the AdmissionReview has no request.object' });
    const answer = encodeReview('u1', { allowed: false, message: 'no' }) as {
      response: { uid: string; allowed: boolean };
    };
    assert.deepEqual([answer.response.uid, answer.response.allowed], ['u1', false]);
    for (const body of ['', '{', '[]', 'null', '{"request":1}']) assert.equal(decodeReview(body).ok, false, body);
  });

  it('refuse pods while there is no MeshConfig, and in a namespace that is gone', async () => {
    const request = {
      uid: 'u',
      kind: 'Pod',
      namespace: 'gone',
      operation: 'CREATE',
      object: { metadata: {}, spec: { containers: [] } },
    };
    const reviewed = await reviewPod(request, { mesh: () => undefined, namespace: async () => undefined });
    assert.deepEqual([reviewed.reason, reviewed.verdict.allowed], ['no-mesh-config', false]);
  });
});

describe('lists in annotations', () => {
  it('take ports from 1 to 65535 and CIDRs of both families, and name what they do not take', () => {
    assert.deepEqual(parsePorts(' 1, 65535 '), { ok: true, values: [1, 65535] });
    for (const bad of ['0', '65536', '-1', '1.5', '0x10', '80;']) assert.deepEqual(parsePorts(bad), { ok: false, bad });
    assert.deepEqual(parseRanges('10.1.2.3/8,fd00:1::9/64'), { ok: true, values: ['10.0.0.0/8', 'fd00:1::/64'] });
    for (const bad of ['10.0.0.0', '10.0.0.0/33', '10/8', 'fd00::/129', 'x/8'])
      assert.deepEqual(parseRanges(bad), { ok: false, bad });
  });
});

describe('policy validation', () => {
  const target = (namespace: string) => ({
    apiVersion: 'access.smi-spec.io/v1alpha3',
    kind: 'TrafficTarget',
    metadata: { name: 't', namespace: 'shop' },
    spec: { destination: { kind: 'ServiceAccount', name: 'a', namespace }, sources: [], rules: [] },
  });

  it('keeps a TrafficTarget in the namespace of its destination', () => {
    assert.equal(validatePolicy(target('shop'), 'TrafficTarget').reason, 'valid');
    assert.equal(validatePolicy(target('bank'), 'TrafficTarget').reason, 'destination-namespace');
    assert.equal(validatePolicy({}, 'Unknown').reason, 'kind-not-checked');
  });
});
