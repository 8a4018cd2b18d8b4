/** What the operator reads from its environment (docs/architecture.md), once. */
import { defaultEnvoyImage, defaultImage } from '#cdk8s/names.ts';
import type { RootWaits, RotationWaits } from './plan/observed.ts';
import { defaultRootWaits } from './plan/root-rotation.ts';
import { defaultWaits } from './plan/rotation.ts';

export interface Environment {
  readonly namespace: string;
  readonly podName: string;
  readonly image: string;
  readonly envoyImage: string;
  readonly logLevel: string;
  /** Of the control-plane CA's rotation. Shorter ones are for tests alone: sidecars may then lose their trust. */
  readonly waits: RotationWaits;
  /** Of the workload root's rotation; the same holds. */
  readonly rootWaits: RootWaits;
}

/** Throws an Error that names the variable when a required one is missing, or one cannot be read. */
export function readEnvironment(env: NodeJS.ProcessEnv): Environment {
  const required = (name: string): string => {
    const value = env[name];
    if (!value) throw new Error(`${name} is not set: the operator's Deployment sets it from the pod's own fields`);
    return value;
  };
  const seconds = (name: string, defaultMs: number): number => {
    const value = env[name];
    if (!value) return defaultMs;
    if (!/^\d+(\.\d+)?$/.test(value))
      throw new Error(`${name} must be a number of seconds, not ${JSON.stringify(value)}`);
    return Number(value) * 1000;
  };
  return {
    namespace: required('OSM_NAMESPACE'),
    podName: required('OSM_POD_NAME'),
    image: env['OSM_IMAGE'] || defaultImage,
    envoyImage: env['OSM_ENVOY_IMAGE'] || defaultEnvoyImage,
    logLevel: env['OSM_LOG_LEVEL'] || 'info',
    waits: {
      trustMs: seconds('OSM_TEST_CA_TRUST_SECONDS', defaultWaits.trustMs),
      retireMs: seconds('OSM_TEST_CA_RETIRE_SECONDS', defaultWaits.retireMs),
      askMs: seconds('OSM_TEST_CA_ASK_SECONDS', defaultWaits.askMs),
    },
    rootWaits: {
      switchMs: seconds('OSM_TEST_ROOT_SWITCH_SECONDS', defaultRootWaits.switchMs),
      retireMs: seconds('OSM_TEST_ROOT_RETIRE_SECONDS', defaultRootWaits.retireMs),
    },
  };
}
