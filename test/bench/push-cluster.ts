/** A real API server with the mesh's objects in it, for benchmarks that fill it with pods and run the controller against it. */
import { loadOrCreateAuthority } from '#certificates/secret-store.ts';
import { type Client, createClient } from '#kubernetes/client.ts';
import { ValidatingAdmissionPolicyBindings } from '#kubernetes/kinds.ts';
import { install, namespace } from '#test/integration/operator-support.ts';
import { type SidecarFiles, sidecarFiles } from '#test/integration/xds-support.ts';
import { type ApiServer, startApiServer } from '#test/support/apiserver.ts';
import { writeMeshConfig } from './push-mesh.ts';

export interface PushCluster {
  readonly server: ApiServer;
  readonly files: SidecarFiles;
  readonly admin: Client;
}

/** Takes it down again, whatever becomes of the work. */
export async function withPushCluster<T>(work: (cluster: PushCluster) => Promise<T>): Promise<T> {
  const stop: (() => Promise<unknown> | void)[] = [];
  try {
    const [server, files] = await Promise.all([startApiServer(), sidecarFiles(namespace)]);
    stop.push(
      () => server.stop(),
      () => files.remove(),
    );
    const admin = createClient(server.clientOptions);
    stop.push(() => admin.close());
    await install(admin);
    // The guard would refuse pods that no injector has made; here are none but ours.
    await admin.delete(ValidatingAdmissionPolicyBindings, 'osm-sidecar-guard');
    await loadOrCreateAuthority(admin, { namespace, name: 'osm-ca-bundle' }, { now: Date.now() });
    await writeMeshConfig(admin, true);
    return await work({ server, files, admin });
  } finally {
    for (const each of stop.toReversed()) await each();
  }
}
