/** A mesh of a given size, the same each time: for measurements, and to count what a change touches. */
import type { MeshObjects } from '#mesh/objects.ts';
import { cluster, group, pod, port, service, SETTINGS, split, target } from './builders.ts';

export interface Size {
  readonly namespaces: number;
  readonly services: number;
  readonly podsEach: number;
  readonly targets: number;
  readonly splits: number;
}

export function largeMesh(size: Size, permissive: boolean): MeshObjects {
  const at = (index: number): string => `ns-${index % size.namespaces}`;
  const indexes = Array.from({ length: size.services }, (_, index) => index);
  const services = indexes.map((index) =>
    service(`${at(index)}/app-${index}`, {
      ports: [port(8080 + (index % 5), index % 10 === 9 ? { name: 'tcp' } : {})],
    }),
  );
  const pods = indexes.flatMap((index) =>
    Array.from({ length: size.podsEach }, (_, copy) => pod(`${at(index)}/app-${index}-${copy}`, `app-${index}`)),
  );
  const groups = Array.from({ length: size.namespaces }, (_, index) =>
    group(`ns-${index}/routes`, { pathRegex: '/api/.*' }),
  );
  const trafficTargets = Array.from({ length: size.targets }, (_, index) => {
    const to = index % size.services;
    const from = (index * 7 + 1) % size.services;
    return target(`${at(to)}/t-${index}`, [`${at(from)}/app-${from}`], `${at(to)}/app-${to}`, 'HTTPRouteGroup/routes');
  });
  const trafficSplits = Array.from({ length: size.splits }, (_, index) => {
    const apex = index * 10;
    const other = (apex + size.namespaces * 5) % size.services; // of the same namespace and port
    return split(`${at(apex)}/s-${index}`, `app-${apex}`, {
      [`app-${apex}`]: 90,
      [`app-${other}`]: 10,
    });
  });
  const config = { ...SETTINGS, permissive };
  return cluster({ services, pods, config, trafficTargets, httpRouteGroups: groups, trafficSplits });
}
