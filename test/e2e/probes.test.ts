/** The kubelet's probes through the sidecar, by a real kubelet: they answer for the application, and fail when it fails. */
import assert from 'node:assert/strict';
import { eventually } from '#test/support/eventually.ts';
import { lab } from './support/lab.ts';
import { namespace, TOOLS_IMAGE } from './support/manifests.ts';

const NS = 'probes';

function probed(name: string, probes: object): object {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: NS },
    spec: {
      terminationGracePeriodSeconds: 1,
      containers: [
        {
          name: 'app',
          image: TOOLS_IMAGE,
          command: ['node', '/programs/http-server.mjs', '8080'],
          ports: [{ name: 'web', containerPort: 8080 }],
          ...probes,
        },
      ],
    },
  };
}

const soon = { periodSeconds: 1, failureThreshold: 2 };
const HTTP = { httpGet: { path: '/any?x=1', port: 'web' } };
const TCP = { tcpSocket: { port: 'web' } };
const NOBODY = 8081;

/** Pods whose probes hold, by name. */
const HOLD: Readonly<Record<string, object>> = {
  http: {
    startupProbe: { ...HTTP, ...soon, failureThreshold: 30 },
    readinessProbe: { ...HTTP, ...soon },
    livenessProbe: { ...HTTP, ...soon },
  },
  tcp: { readinessProbe: { ...TCP, ...soon }, livenessProbe: { ...TCP, ...soon, initialDelaySeconds: 5 } },
  exec: { readinessProbe: { exec: { command: ['true'] }, ...soon } },
};

/** Pods whose application does not answer what is asked. The original's sidecar answered for it. */
const FAIL: Readonly<Record<string, object>> = {
  'http-nobody': { readinessProbe: { httpGet: { path: '/', port: NOBODY }, ...soon } },
  'http-teapot': { readinessProbe: { httpGet: { path: '/teapot', port: 8080 }, ...soon } },
  'tcp-nobody': { readinessProbe: { tcpSocket: { port: NOBODY }, ...soon } },
};

interface PodJson {
  readonly status: {
    readonly containerStatuses?: readonly {
      readonly ready: boolean;
      readonly restartCount: number;
      readonly state: { readonly running?: object };
    }[];
  };
}

describe('probes', () => {
  before(async () => {
    await lab.meshIsUp();
    await lab.apply([namespace(NS, true)]);
    await lab.apply(Object.entries({ ...HOLD, ...FAIL }).map(([name, probes]) => probed(name, probes)));
  });
  after(() => lab.kubectl(['delete', 'pods', '-n', NS, '--all', '--wait=false']));

  for (const name of Object.keys(HOLD)) {
    it(`${name}: holds while the application answers`, () =>
      lab.kubectl(['wait', '-n', NS, `pod/${name}`, '--for=condition=Ready', '--timeout=90s']).then(() => undefined));
  }

  for (const name of Object.keys(FAIL)) {
    it(`${name}: fails when the application does not`, async () => {
      await eventually(`the application of ${name} runs`, async () => {
        const pod = await lab.json<PodJson>(['get', 'pod', '-n', NS, name]);
        return pod.status.containerStatuses?.[0]?.state.running !== undefined;
      });
      const events = await eventually(`the kubelet says that the probe of ${name} failed`, async () => {
        const { stdout } = await lab.run([
          'get',
          'events',
          '-n',
          NS,
          '--field-selector',
          `involvedObject.name=${name},reason=Unhealthy`,
        ]);
        return /Readiness probe failed: HTTP probe failed with statuscode: (503|418)/.test(stdout) ? stdout : undefined;
      });
      assert.match(events, /statuscode/);
      const pod = await lab.json<PodJson>(['get', 'pod', '-n', NS, name]);
      assert.equal(pod.status.containerStatuses?.[0]?.ready, false);
    });
  }
});
