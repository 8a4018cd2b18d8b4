/** The kinds that problems are about, and how each of them tells its users. */
import {
  HttpRouteGroups,
  MeshConfigs,
  Namespaces,
  Pods,
  Services,
  TcpRoutes,
  TrafficSplits,
  TrafficTargets,
} from '#kubernetes/kinds.ts';
import type { Kind } from '#kubernetes/types.ts';
import type { ProblemKind } from '#mesh/problem.ts';

export interface SubjectKind {
  readonly kind: Kind;
  /**
   * `event`: an Event on the object, whose status belongs to others or is not there at all. `status`: its own conditions;
   * what is wrong in a MeshConfig is said there by the operator, which parses it too.
   */
  readonly tells: 'event' | 'status';
}

export const subjects: Readonly<Record<ProblemKind, SubjectKind>> = {
  MeshConfig: { kind: MeshConfigs, tells: 'status' },
  Namespace: { kind: Namespaces, tells: 'event' },
  Pod: { kind: Pods, tells: 'event' },
  Service: { kind: Services, tells: 'event' },
  HTTPRouteGroup: { kind: HttpRouteGroups, tells: 'event' },
  TCPRoute: { kind: TcpRoutes, tells: 'event' },
  TrafficSplit: { kind: TrafficSplits, tells: 'event' },
  TrafficTarget: { kind: TrafficTargets, tells: 'event' },
};
