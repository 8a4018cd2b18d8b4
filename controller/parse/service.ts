import type { KubeObject } from '#kubernetes/types.ts';
import type { EndpointSliceObject, ServiceObject, ServicePortObject } from '#mesh/objects.ts';
import { sortedSet } from '#mesh/order.ts';
import { number, record, records, stringMap, text, texts } from './json.ts';
import { metaOf } from './meta.ts';

export function parseService(object: KubeObject): ServiceObject {
  const spec = record(object.spec);
  const single = text(spec['clusterIP']);
  const addresses = texts(spec['clusterIPs']);
  const all = addresses.length > 0 ? addresses : single === '' ? [] : [single];
  return {
    ...metaOf(object),
    type: serviceType(text(spec['type'])),
    clusterIPs: all.filter((address) => address !== 'None'),
    headless: single === 'None',
    selector: stringMap(spec['selector']),
    ports: records(spec['ports']).map((port): ServicePortObject => {
      const target = port['targetPort'];
      const own = number(port['port']);
      return {
        name: text(port['name']),
        port: own,
        targetPort: typeof target === 'string' ? target : number(target) || own,
        protocol: protocol(text(port['protocol'])),
        appProtocol: text(port['appProtocol']) || undefined,
      };
    }),
  };
}

function serviceType(type: string): ServiceObject['type'] {
  return type === 'NodePort' || type === 'LoadBalancer' || type === 'ExternalName' ? type : 'ClusterIP';
}

function protocol(name: string): ServicePortObject['protocol'] {
  return name === 'UDP' || name === 'SCTP' ? name : 'TCP';
}

/** Undefined for a slice that belongs to no service. */
export function parseEndpointSlice(object: KubeObject): EndpointSliceObject | undefined {
  const service = object.metadata.labels?.['kubernetes.io/service-name'];
  if (!service) return undefined;
  const raw = record(object);
  const addressType = text(raw['addressType']);
  return {
    ...metaOf(object),
    service,
    addressType: addressType === 'IPv6' || addressType === 'FQDN' ? addressType : 'IPv4',
    ports: records(raw['ports']).map((port) => ({
      name: text(port['name']),
      port: number(port['port']),
      protocol: text(port['protocol']) || 'TCP',
    })),
    endpoints: records(raw['endpoints']).map((endpoint) => {
      const target = record(endpoint['targetRef']);
      return {
        addresses: texts(endpoint['addresses']),
        // The API: absent means ready.
        ready: record(endpoint['conditions'])['ready'] !== false,
        hostname: text(endpoint['hostname']) || undefined,
        pod: text(target['kind']) === 'Pod' ? text(target['name']) : undefined,
        zone: text(endpoint['zone']) || undefined,
        hintZones: sortedSet(records(record(endpoint['hints'])['forZones']).map((entry) => text(entry['name']))),
      };
    }),
  };
}
