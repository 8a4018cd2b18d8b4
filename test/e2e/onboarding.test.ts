/** The opt-in for callers that are still outside the mesh: switched on a namespace, under the running pods. */
import assert from 'node:assert/strict';
import { eventually } from '#test/support/eventually.ts';
import { lab } from './support/lab.ts';
import { httpRouteGroup, namespace, trafficTarget, workload } from './support/manifests.ts';

const NS = 'onboarding';
const OUTSIDE = 'onboarding-outside';
const ANNOTATION = 'openservicemesh.io/accept-plaintext';
/** "Within a few seconds". */
const SOON = { deadlineMs: 10_000, everyMs: 200 };

describe('moving callers into the mesh', () => {
  before(async () => {
    await lab.meshIsUp();
    await lab.apply([namespace(NS, true), namespace(OUTSIDE, false)]);
    await lab.apply([
      ...workload({
        namespace: NS,
        name: 'web',
        command: ['node', '/programs/http-server.mjs', '8080'],
        ports: [{ name: 'http', port: 8080 }],
        readiness: '/',
      }),
      ...workload({
        namespace: NS,
        name: 'banner',
        command: ['node', '/programs/banner-server.mjs', '7000'],
        ports: [{ name: 'banner', port: 7000, appProtocol: 'tcp-server-first' }],
      }),
      ...workload({ namespace: NS, name: 'member', command: ['sleep', 'infinity'] }),
      ...workload({ namespace: OUTSIDE, name: 'naked', command: ['sleep', 'infinity'] }),
      // Somebody may call, so that this is about who: not the member.
      httpRouteGroup(NS, 'web-routes', [{ name: 'all', pathRegex: '.*', methods: ['*'] }]),
      trafficTarget('web', `${NS}/banner`, `${NS}/web`, { kind: 'HTTPRouteGroup', name: 'web-routes' }),
    ]);
    await lab.rolledOut(NS, 'web', 'banner', 'member');
    await lab.rolledOut(OUTSIDE, 'naked');
    await lab.setPermissive(false);
    await eventually('the member is refused by policy', async () => (await fromMember()).status === 403);
  });

  after(async () => {
    await lab.setPermissive(true);
    await lab.kubectl(['delete', 'namespace', NS, OUTSIDE, '--wait=false']);
  });

  const url = `http://web.${NS}:8080/`;
  const fromMember = () => lab.curl(NS, 'member', url);

  /** True when the caller outside the mesh gets the application's answer; false when it gets none. */
  async function nakedIsAnswered(): Promise<boolean> {
    try {
      const { status, headers, body } = await lab.curl(OUTSIDE, 'naked', url);
      assert.deepEqual([status, headers['x-osm-denied'], headers['x-osm-not-sent']], [200, undefined, undefined], body);
      return true;
    } catch (error) {
      // 52: the server closed without an answer; 56: it reset the connection.
      if (/exit code (52|56)/.test(String(error))) return false;
      throw error;
    }
  }

  /** What the MeshConfig says of who is open; undefined when nobody is. */
  async function plaintextAccepted(): Promise<string | undefined> {
    const mesh = await lab.json<{ status: { conditions: { type: string; status: string; message: string }[] } }>([
      'get',
      'meshconfig',
      'osm-mesh-config',
      '-n',
      'osm-system',
    ]);
    return mesh.status.conditions.find(({ type, status }) => type === 'PlaintextAccepted' && status === 'True')
      ?.message;
  }

  async function annotate(...words: string[]): Promise<void> {
    await lab.kubectl(['annotate', '--overwrite', ...words]);
  }

  it('a caller outside is refused, with the opt-in answered within seconds, and without it refused again', async () => {
    const { uid } = await lab.pod(NS, 'web');
    // Not at once: until kube-proxy knows the pod, it is the Service that refuses, and not the sidecar.
    await eventually('the caller outside is refused by the sidecar', async () => !(await nakedIsAnswered()), SOON);
    await annotate('namespace', NS, `${ANNOTATION}=enabled`);
    await eventually('the caller outside is answered', nakedIsAnswered, SOON);
    await eventually(
      'the MeshConfig says so',
      async () => (await plaintextAccepted())?.includes(`Deployment ${NS}/web`),
      SOON,
    );
    assert.equal((await fromMember()).status, 403, 'a caller of the mesh is still judged by its policy');
    assert.equal(await lab.netcat(OUTSIDE, 'naked', `banner.${NS}`, 7000), '', 'a server-first port stays closed');

    await annotate('pod', '-n', NS, '-l', 'app=web', `${ANNOTATION}=disabled`);
    await eventually('the pod’s own word wins', async () => !(await nakedIsAnswered()), SOON);
    await annotate('pod', '-n', NS, '-l', 'app=web', `${ANNOTATION}-`);
    await eventually('and its namespace’s again', nakedIsAnswered, SOON);

    await annotate('namespace', NS, `${ANNOTATION}-`);
    await eventually('the caller outside is refused', async () => !(await nakedIsAnswered()), SOON);
    assert.equal((await lab.pod(NS, 'web')).uid, uid, 'no pod was restarted for it');
  });
});
