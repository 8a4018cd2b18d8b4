/** What the controller reads from its environment (docs/architecture.md), once. */
import { readFileSync } from 'node:fs';

export interface Environment {
  readonly namespace: string;
  readonly podName: string;
  readonly meshName: string;
  readonly logLevel: string;
  readonly tlsDirectory: string;
  /** The controller's own token for Vault, projected with audience `vault`. */
  readonly vaultTokenPath: string;
  /** DNS domain of the cluster. */
  readonly clusterDomain: string;
}

/** Throws an Error that names the variable when a required one is missing. */
export function readEnvironment(env: NodeJS.ProcessEnv, resolvConf: string = readResolvConf()): Environment {
  const required = (name: string): string => {
    const value = env[name];
    if (!value) throw new Error(`${name} is not set: the controller's Deployment, which the operator makes, sets it`);
    return value;
  };
  return {
    namespace: required('OSM_NAMESPACE'),
    podName: env['OSM_POD_NAME'] || 'osm-controller',
    meshName: env['OSM_MESH_NAME'] || 'osm',
    logLevel: env['OSM_LOG_LEVEL'] || 'info',
    tlsDirectory: env['OSM_TLS_DIR'] || '/var/run/osm/tls',
    vaultTokenPath: env['OSM_VAULT_TOKEN_PATH'] || '/var/run/secrets/osm/vault/token',
    clusterDomain: clusterDomain(resolvConf),
  };
}

/** The kubelet writes `search <namespace>.svc.<domain> svc.<domain> <domain> …` into each pod. */
export function clusterDomain(resolvConf: string): string {
  const search = resolvConf.split('\n').findLast((line) => line.startsWith('search ')) ?? '';
  const service = search.split(/\s+/).find((domain) => domain.startsWith('svc.'));
  return service === undefined ? 'cluster.local' : service.slice('svc.'.length).replace(/\.$/, '');
}

function readResolvConf(): string {
  try {
    return readFileSync('/etc/resolv.conf', 'utf8');
  } catch {
    return '';
  }
}
