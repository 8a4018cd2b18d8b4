/** Which protocol a service port speaks. `appProtocol` decides; without it the port's name; without a hint it is HTTP. */
import type { ServicePortObject } from './objects.ts';
import type { MeshProtocol } from './view.ts';

const APP_PROTOCOLS: Readonly<Record<string, MeshProtocol>> = {
  http: 'http',
  http2: 'http2',
  grpc: 'grpc',
  tcp: 'tcp',
  'tcp-server-first': 'tcp-server-first',
  'kubernetes.io/h2c': 'http2',
  'kubernetes.io/ws': 'http',
};

/** Longest first: `tcp-server-first-x` also starts with `tcp-`. */
const NAME_PREFIXES: readonly MeshProtocol[] = ['tcp-server-first', 'http2', 'http', 'grpc', 'tcp'];

/** Undefined when `appProtocol` names a protocol that the mesh does not speak: a guess could break the application. */
export function portProtocol(port: Pick<ServicePortObject, 'name' | 'appProtocol'>): MeshProtocol | undefined {
  if (port.appProtocol !== undefined && port.appProtocol !== '') {
    return Object.hasOwn(APP_PROTOCOLS, port.appProtocol) ? APP_PROTOCOLS[port.appProtocol] : undefined;
  }
  return NAME_PREFIXES.find((prefix) => port.name === prefix || port.name.startsWith(`${prefix}-`)) ?? 'http';
}

export function isHttp(protocol: MeshProtocol): boolean {
  switch (protocol) {
    case 'http':
    case 'http2':
    case 'grpc':
      return true;
    case 'tcp':
    case 'tcp-server-first':
      return false;
  }
}
