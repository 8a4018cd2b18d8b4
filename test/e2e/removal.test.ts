/** Leaving: a MeshConfig that goes takes the mesh with it, and the install that goes leaves nothing that refuses pods. */
import assert from 'node:assert/strict';
import { fileURLToPath } from 'node:url';
import { eventually } from '#test/support/eventually.ts';
import { lab } from './support/lab.ts';
import { namespace, TOOLS_IMAGE } from './support/manifests.ts';

const NS = 'leaving';
const GATEWAY = 'gateway-certificate';
const INSTALL = fileURLToPath(new URL('../../deploy/install.yaml', import.meta.url));
const CLUSTER_SCOPED =
  'mutatingwebhookconfigurations,validatingwebhookconfigurations,validatingadmissionpolicies,validatingadmissionpolicybindings';

function pod(name: string): object {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: NS },
    spec: { containers: [{ name: 'app', image: TOOLS_IMAGE, command: ['sleep', 'infinity'] }] },
  };
}

async function admitted(name: string): Promise<boolean> {
  return (await lab.run(['apply', '-f', '-'], { input: JSON.stringify(pod(name)) })).code === 0;
}

async function initContainers(name: string): Promise<string[]> {
  const { spec } = await lab.json<{ spec: { initContainers?: { name: string }[] } }>(['get', 'pod', '-n', NS, name]);
  return (spec.initContainers ?? []).map((container) => container.name);
}

async function askForGateway(asked: boolean): Promise<void> {
  const ingressGateway = {
    subjectAltNames: ['gateway.example.com'],
    validityDuration: '1h',
    secret: { name: GATEWAY, namespace: NS },
  };
  await lab.patchMeshConfig({ spec: { certificate: { ingressGateway: asked ? ingressGateway : null } } });
}

/** Its type; empty when it is not there. */
async function gatewaySecret(): Promise<string> {
  const query = ['get', 'secret', '-n', NS, GATEWAY, '--ignore-not-found', '-o', 'jsonpath={.type}'];
  return (await lab.run(query)).stdout;
}

describe('removal', () => {
  before(async () => {
    await lab.meshIsUp();
    await lab.apply([namespace(NS, true)]);
  });

  it('repairs what is deleted or changed by hand', async () => {
    await lab.kubectl(['delete', 'service', '-n', 'osm-system', 'osm-injector']);
    await lab.kubectl(['delete', 'mutatingwebhookconfiguration', 'osm-webhook-osm']);
    await eventually('the Service and the webhook configuration are back', async () => {
      const service = await lab.run(['get', 'service', '-n', 'osm-system', 'osm-injector']);
      const webhook = await lab.run(['get', 'mutatingwebhookconfiguration', 'osm-webhook-osm']);
      return service.code === 0 && webhook.code === 0;
    });
    await eventually('a pod is injected again', () => admitted('repaired'));
    assert.deepEqual(await initContainers('repaired'), ['osm-init', 'envoy']);
  });

  it('takes the ingress gateway’s Secret away when it is asked for no more', async () => {
    await askForGateway(true);
    await eventually('the Secret is there', async () => (await gatewaySecret()).includes('kubernetes.io/tls'));
    await askForGateway(false);
    await eventually('the Secret is gone', async () => (await gatewaySecret()) === '');
    await askForGateway(true);
    await eventually('the Secret is back', async () => (await gatewaySecret()) !== '');
  });

  it('lets pods of labelled namespaces start without a sidecar once the MeshConfig is gone', async () => {
    await lab.kubectl(['delete', 'meshconfig', '-n', 'osm-system', 'osm-mesh-config']);
    await eventually('the webhook configurations are gone', async () => {
      const { stdout } = await lab.run(['get', 'mutatingwebhookconfigurations', '-o', 'name']);
      return !stdout.includes('osm-webhook');
    });
    await eventually('a pod is admitted', () => admitted('without-mesh'));
    assert.deepEqual(await initContainers('without-mesh'), []);
    await eventually('injector and controller are gone', async () => {
      const { stdout } = await lab.run(['get', 'deployments', '-n', 'osm-system', '-o', 'name']);
      return stdout.trim() === 'deployment.apps/osm-operator';
    });
    await eventually('the ingress gateway’s Secret is gone', async () => (await gatewaySecret()) === '');
  });

  it('guards and injects again with a new MeshConfig', async () => {
    await lab.applyMeshConfig();
    await eventually('a pod is injected', async () => {
      await lab.run(['delete', 'pod', '-n', NS, 'back', '--now', '--ignore-not-found']);
      return (await admitted('back')) && (await initContainers('back')).includes('envoy');
    });
  });

  it('leaves no webhook and no policy behind when the install is deleted with its mesh running', async () => {
    await lab.kubectl(['delete', '--ignore-not-found', '--wait=false', '-f', INSTALL]);
    await eventually(
      'nothing cluster-scoped of ours is left',
      async () => !/\/osm-/.test((await lab.run(['get', CLUSTER_SCOPED, '-o', 'name'])).stdout),
      { state: async () => (await lab.run(['get', CLUSTER_SCOPED])).stdout },
    );
    await eventually('a pod is admitted', () => admitted('after-all'));
  });
});
