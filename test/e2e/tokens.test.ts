/** Whoever asks the controller for configuration must prove which pod it is: each false proof is refused and logged with its reason. */
import assert from 'node:assert/strict';
import { createHmac, createPublicKey, generateKeyPairSync, type JsonWebKey, X509Certificate } from 'node:crypto';
import { fromBinary } from '@bufbuild/protobuf';
import { decodeJwt, decodeProtectedHeader, importPKCS8, SignJWT } from 'jose';
import { eventually } from '#test/support/eventually.ts';
import { SECRET } from '#xds/cache/types.ts';
import { SecretSchema } from '#xds/proto/gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.js';
import { type DeltaStream, openDeltaStream } from './support/delta-stream.ts';
import { lab } from './support/lab.ts';
import { namespace, oneOffPod, workload } from './support/manifests.ts';

const NS = 'tokens';
const SLEEP = ['sleep', 'infinity'];
/** A pod that is gone, and one whose account is, loses its stream within this. */
const CLOSED_WITHIN_MS = 10_000;

interface PodRef {
  readonly name: string;
  readonly uid: string;
}

describe('tokens', () => {
  let one: PodRef;
  let other: PodRef;
  const streams: DeltaStream[] = [];
  const nodeId = (pod: PodRef): string => `${NS}/${pod.name}/${pod.uid}`;

  before(async () => {
    await lab.meshIsUp();
    await lab.apply([namespace(NS, true)]);
    const accounts = ['one', 'other', 'renamed'];
    await lab.apply(accounts.flatMap((name) => workload({ namespace: NS, name, command: SLEEP })));
    await lab.rolledOut(NS, ...accounts);
    one = await lab.pod(NS, 'one');
    other = await lab.pod(NS, 'other');
  });

  afterEach(() => {
    for (const stream of streams.splice(0)) stream.close();
  });

  /** A token of a pod as the kubelet would get it. */
  async function tokenFor(account: string, pod: PodRef, audience = 'osm'): Promise<string> {
    const bound = ['--bound-object-kind', 'Pod', '--bound-object-name', pod.name, '--bound-object-uid', pod.uid];
    return (await lab.kubectl(['create', 'token', account, '-n', NS, '--audience', audience, ...bound])).trim();
  }

  async function open(token: string | undefined, node: string): Promise<DeltaStream> {
    const stream = openDeltaStream({ token, node, ...(await lab.controllerEndpoint()) });
    streams.push(stream);
    return stream;
  }

  /** A stream that has been given configuration. */
  async function accepted(token: string, node: string): Promise<DeltaStream> {
    const stream = await open(token, node);
    await eventually('an answer', async () => stream.answers.length > 0, {
      deadlineMs: 10_000,
      state: async () => JSON.stringify(stream.ended),
    });
    assert.ok(stream.answers[0]!.resources.length > 0, 'there must be clusters');
    return stream;
  }

  /** Waits for a line in the controllers' logs; no line may hold `token`. */
  async function logged(since: string, key: RegExp, about: string, token?: string): Promise<void> {
    await eventually(`a log line with ${String(key)} about ${about}`, async () => {
      const from = ['-n', 'osm-system', '-l', 'app=osm-controller', '--since-time', since, '--tail=-1'];
      const log = await lab.kubectl(['logs', ...from]);
      if (token !== undefined) assert.ok(!log.includes(token), 'the token itself must not be logged');
      return log.split('\n').some((line) => key.test(line) && line.includes(about));
    });
  }

  const now = (): string => new Date().toISOString();

  /** Asks for clusters with a token and a node id; expects a refusal and its reason in the controllers' log. */
  async function refused(token: string | undefined, node: string, key: RegExp): Promise<void> {
    const since = now();
    const stream = await open(token, node);
    await eventually('the end of the stream', async () => stream.ended !== undefined, { deadlineMs: 10_000 });
    assert.deepEqual(stream.answers, [], 'no configuration must arrive');
    assert.match(stream.ended!.error, key);
    // Of whoever shows no token nothing else is read.
    await logged(since, key, token === undefined ? 'peer' : node, token);
  }

  /** `header.payload` of the genuine token with another header, for signatures of one's own. */
  function withHeader(token: string, header: object): string {
    return `${Buffer.from(JSON.stringify(header)).toString('base64url')}.${token.split('.')[1]}`;
  }

  it('the right token gets configuration', async () => {
    await accepted(await tokenFor('one', one), nodeId(one));
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
    await refused(forged, nodeId(one), /token-signature/);
  });

  it('signed by nobody: alg none', async () => {
    const unsigned = `${withHeader(await tokenFor('one', one), { alg: 'none', typ: 'JWT' })}.`;
    await refused(unsigned, nodeId(one), /token-algorithm/);
  });

  it('signed by the public key, as if it were a shared secret: HS256', async () => {
    const genuine = await tokenFor('one', one);
    const { kid } = decodeProtectedHeader(genuine);
    const { keys } = JSON.parse(await lab.kubectl(['get', '--raw', '/openid/v1/jwks'])) as {
      keys: (JsonWebKey & { kid: string })[];
    };
    const jwk = keys.find((key) => key.kid === kid) ?? assert.fail('the key of the token is published');
    const pem = createPublicKey({ key: jwk, format: 'jwk' }).export({ type: 'spki', format: 'pem' });
    const text = withHeader(genuine, { alg: 'HS256', kid });
    const forged = `${text}.${createHmac('sha256', pem).update(text).digest('base64url')}`;
    await refused(forged, nodeId(one), /token-algorithm/);
  });

  it('expired', async function () {
    const key = lab.serviceAccountKey();
    if (key === undefined) return this.skip();
    const genuine = await tokenFor('one', one);
    const { kid, alg } = decodeProtectedHeader(genuine) as { kid: string; alg: string };
    const seconds = Math.floor(Date.now() / 1000);
    const times = { iat: seconds - 7200, nbf: seconds - 7200, exp: seconds - 3600 };
    const expired = await new SignJWT({ ...decodeJwt(genuine), ...times })
      .setProtectedHeader({ alg, kid })
      .sign(await importPKCS8(key, alg));
    await refused(expired, nodeId(one), /token-expired/);
  });

  it('the secret of another: no name leads to it', async () => {
    const since = now();
    const stream = await accepted(await tokenFor('one', one), nodeId(one));
    const names = [`spiffe://cluster.local/ns/${NS}/sa/other`, `${NS}/other`, 'osm-ca-bundle'];
    stream.ask(SECRET, [...names, 'workload', 'roots']);
    await eventually('an answer to each name', async () => {
      const secrets = stream.answers.filter(({ typeUrl }) => typeUrl === SECRET);
      const given = secrets.flatMap(({ resources }) => resources.map(({ name }) => name));
      const denied = secrets.flatMap(({ removedResources }) => removedResources);
      return given.includes('workload') && names.every((name) => denied.includes(name));
    });
    const held = secretsOf(stream);
    assert.deepEqual([...held.keys()].toSorted(), ['roots', 'workload']);
    const certificate = new X509Certificate(String(workloadOf(stream).certificateChain?.specifier.value));
    assert.match(certificate.subjectAltName ?? '', new RegExp(`spiffe://cluster.local/ns/${NS}/sa/one(,|$)`));
    await logged(since, /secret-denied/, `${NS}/${one.name}`);
  });

  it('a private key comes on the stream of its pod; no key of the mesh stands in a log, metric, dump or Event', async () => {
    const stream = await accepted(await tokenFor('one', one), nodeId(one));
    stream.ask(SECRET, ['workload']);
    await eventually('the certificate', async () => secretsOf(stream).has('workload'));
    const keys = [String(workloadOf(stream).privateKey?.specifier.value)];
    for (const [secret, field] of [
      ['osm-ca-bundle', 'private.key'],
      ['osm-control-plane-ca', 'private.key'],
      ['osm-controller-tls', 'tls.key'],
      ['osm-injector-tls', 'tls.key'],
    ] as const) {
      const { data } = await lab.json<{ data: Record<string, string> }>(['get', 'secret', '-n', 'osm-system', secret]);
      keys.push(Buffer.from(data[field] ?? '', 'base64').toString());
    }
    const needles = keys.flatMap((pem) => {
      assert.match(pem, /^-----BEGIN PRIVATE KEY-----\n/);
      const lines = pem.split('\n').filter((line) => line !== '' && !line.startsWith('-----'));
      return [...lines, Buffer.from(pem).toString('base64').slice(0, 80)];
    });
    for (const [where, text] of await everythingTold()) {
      assert.ok(!text.includes('PRIVATE KEY'), where);
      for (const needle of needles) assert.ok(!text.includes(needle), where);
    }
  });

  it('of a former pod of the same name', async () => {
    const made = async (): Promise<PodRef> => {
      await lab.apply([oneOffPod(NS, 'again', SLEEP)]);
      const { metadata } = await lab.json<{ metadata: PodRef }>(['get', 'pod', '-n', NS, 'again']);
      return metadata;
    };
    const former = await made();
    const token = await tokenFor('default', former);
    await lab.kubectl(['delete', 'pod', '-n', NS, 'again', '--now']);
    const latter = await made();
    assert.notEqual(latter.uid, former.uid);
    await accepted(await tokenFor('default', latter), nodeId(latter));
    await refused(token, nodeId(former), /pod-gone/);
    await refused(token, nodeId(latter), /pod-mismatch/);
  });

  it('of a pod that is gone, whose stream ends with it', async () => {
    const token = await tokenFor('other', other);
    const stream = await accepted(token, nodeId(other));
    const since = now();
    const asked = Date.now();
    await lab.kubectl(['delete', 'pod', '-n', NS, other.name, '--now']);
    const { error, at } = await eventually('the end of the stream', async () => stream.ended, { deadlineMs: 15_000 });
    console.log(`      the stream ended ${at - asked} ms after the pod's deletion was asked for`);
    assert.ok(at - asked <= CLOSED_WITHIN_MS, `${at - asked} ms`);
    assert.match(error, /pod-gone/);
    await logged(since, /"key":"pod-gone".*stream closed/, `${NS}/${other.name}`);
    await refused(token, nodeId(other), /pod-gone/);
  });

  it('of a former account of the same name, whose streams end with it', async () => {
    const pod = await lab.pod(NS, 'renamed');
    const token = await tokenFor('renamed', pod);
    const stream = await accepted(token, nodeId(pod));
    const since = now();
    const asked = Date.now();
    await lab.kubectl(['delete', 'serviceaccount', '-n', NS, 'renamed']);
    await lab.apply([{ apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'renamed', namespace: NS } }]);
    const { error, at } = await eventually('the end of the stream', async () => stream.ended, { deadlineMs: 15_000 });
    console.log(`      the stream ended ${at - asked} ms after the account's deletion was asked for`);
    assert.ok(at - asked <= CLOSED_WITHIN_MS, `${at - asked} ms`);
    assert.match(error, /account-changed/);
    await logged(since, /"key":"account-changed".*stream closed/, `${NS}/${pod.name}`);
    await refused(token, nodeId(pod), /account-changed/);
  });
});

/** The secrets that came, by name; the newest of each. */
function secretsOf(stream: DeltaStream): ReadonlyMap<string, Uint8Array> {
  const answers = stream.answers.filter(({ typeUrl }) => typeUrl === SECRET);
  const resources = answers.flatMap((answer) => answer.resources);
  return new Map(resources.map(({ name, resource }) => [name, resource?.value ?? new Uint8Array()]));
}

function workloadOf(stream: DeltaStream) {
  const { type } = fromBinary(SecretSchema, secretsOf(stream).get('workload') ?? new Uint8Array());
  assert.ok(type.case === 'tlsCertificate');
  return type.value;
}

/** What the control plane and the sidecar of `one` show to whoever may look. */
async function everythingTold(): Promise<ReadonlyMap<string, string>> {
  const told = new Map<string, string>();
  for (const app of ['osm-controller', 'osm-operator', 'osm-injector']) {
    told.set(`log of ${app}`, await lab.kubectl(['logs', '-n', 'osm-system', '-l', `app=${app}`, '--tail=-1']));
    const { items } = await lab.json<{ items: { status: { podIP: string } }[] }>([
      ...['get', 'pods', '-n', 'osm-system', '-l', `app=${app}`],
    ]);
    for (const { status } of items) {
      const metrics = await (await fetch(`http://${status.podIP}:9091/metrics`)).text();
      assert.match(metrics, /^process_cpu_seconds_total /m);
      told.set(`metrics of ${app} at ${status.podIP}`, metrics);
    }
  }
  told.set('log of the sidecar', await lab.kubectl(['logs', '-n', NS, 'deployment/one', '-c', 'envoy']));
  const dump = (await lab.curl(NS, 'one', 'http://127.0.0.1:15000/config_dump')).body;
  assert.match(dump, /"private_key"/, 'the dump shows that there is a key');
  told.set('dump of the sidecar', dump);
  told.set('Events', await lab.kubectl(['get', 'events', '-A', '-o', 'json']));
  return told;
}
