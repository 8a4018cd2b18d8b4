/**
 * Several headless services may stand over the same pods and port: then one address and port belongs to several services. The
 * oldest keeps it. HTTP services need no owner between them, since the Host header decides; their addresses are listed anyway,
 * so that an address as Host has one meaning. A TCP service that lost all its addresses cannot be told apart by anything.
 */
import type { MeshService, NameKey } from './model.ts';
import { compareAge } from './order.ts';
import { type Problem, refOf } from './problem.ts';
import { isHttp } from './protocols.ts';

export function ownerKey(address: string, port: number): string {
  return `${address}|${port}`;
}

/** Only addresses of headless services: cluster IPs are unique. */
export function buildOwners(services: ReadonlyMap<NameKey, MeshService>, problems: Problem[]): Map<string, NameKey> {
  const owners = new Map<string, NameKey>();
  const headless = [...services.values()].filter(({ object }) => object.headless);
  for (const service of headless.sort((a, b) => compareAge(a.object, b.object))) {
    for (const { port, protocol } of service.ports) {
      const lost = new Set<NameKey>();
      for (const { address } of service.addresses) {
        const owner = owners.get(ownerKey(address, port));
        if (owner === undefined) owners.set(ownerKey(address, port), service.key);
        else if (!isHttp(protocol) || !ownerIsHttp(services, owner, port)) lost.add(owner);
      }
      for (const owner of lost) problems.push(addressShared(service, port, owner));
    }
  }
  return owners;
}

function ownerIsHttp(services: ReadonlyMap<NameKey, MeshService>, owner: NameKey, port: number): boolean {
  const found = services.get(owner)?.ports.find((entry) => entry.port === port);
  return found !== undefined && isHttp(found.protocol);
}

function addressShared(service: MeshService, port: number, owner: NameKey): Problem {
  return {
    key: 'headless-address-shared',
    object: refOf('Service', service.object),
    field: 'spec.selector',
    message: `Pods of this headless service also stand behind ${owner} on port ${port}, which is older: calls to them go by that one.`,
    remedy: 'Give the services different ports, or keep one of them.',
  };
}
