/** What the operator reads from its environment (docs/architecture.md), once. */
import { defaultEnvoyImage, defaultImage } from '#cdk8s/names.ts';

export interface Environment {
  readonly namespace: string;
  readonly podName: string;
  readonly image: string;
  readonly envoyImage: string;
  readonly logLevel: string;
}

/** Throws an Error that names the variable when a required one is missing. */
export function readEnvironment(env: NodeJS.ProcessEnv): Environment {
  const required = (name: string): string => {
    const value = env[name];
    if (!value) throw new Error(`${name} is not set: the operator's Deployment sets it from the pod's own fields`);
    return value;
  };
  return {
    namespace: required('OSM_NAMESPACE'),
    podName: required('OSM_POD_NAME'),
    image: env['OSM_IMAGE'] || defaultImage,
    envoyImage: env['OSM_ENVOY_IMAGE'] || defaultEnvoyImage,
    logLevel: env['OSM_LOG_LEVEL'] || 'info',
  };
}
