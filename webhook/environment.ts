/** What the injector reads from its environment (docs/architecture.md), once. */

export interface Environment {
  readonly namespace: string;
  readonly meshName: string;
  readonly image: string;
  readonly envoyImage: string;
  readonly logLevel: string;
  readonly tlsDirectory: string;
  readonly nativeSidecars: boolean;
  /** Where to listen; undefined is every address of the pod. */
  readonly listenAddress: string | undefined;
}

/** Throws an Error that names the variable when a required one is missing or cannot be read. */
export function readEnvironment(env: NodeJS.ProcessEnv): Environment {
  const required = (name: string): string => {
    const value = env[name];
    if (!value) throw new Error(`${name} is not set: the injector's Deployment, which the operator makes, sets it`);
    return value;
  };
  const native = env['OSM_NATIVE_SIDECARS'] || 'true';
  if (native !== 'true' && native !== 'false') {
    throw new Error(`OSM_NATIVE_SIDECARS must be true or false, not ${JSON.stringify(native)}`);
  }
  return {
    namespace: required('OSM_NAMESPACE'),
    meshName: env['OSM_MESH_NAME'] || 'osm',
    image: required('OSM_IMAGE'),
    envoyImage: env['OSM_ENVOY_IMAGE'] || 'envoyproxy/envoy-distroless:v1.40.0',
    logLevel: env['OSM_LOG_LEVEL'] || 'info',
    tlsDirectory: env['OSM_TLS_DIR'] || '/var/run/osm/tls',
    nativeSidecars: native === 'true',
    listenAddress: env['OSM_LISTEN_ADDRESS'] || undefined,
  };
}
