/** The mesh as one revision of the cluster's objects describes it, in neutral terms. `compile` makes it. */
import type { AccountKey } from './identity.ts';
import type { PartTable } from './intern.ts';
import type { MeshSettings, PodObject, ServiceObject } from './objects.ts';
import type {
  HttpPermissions,
  EndpointAssignment,
  HttpMatch,
  InboundView,
  MeshEndpoint,
  MeshProtocol,
  OutboundRoute,
  OutboundView,
  OutboundVirtualHost,
  PlaintextPort,
  UpstreamCluster,
} from './view.ts';

/** `<namespace>/<name>` of a service or a pod. */
export type NameKey = string;

export interface MeshModel {
  readonly settings: MeshSettings;
  /** The mesh's own services, in the order of their keys. */
  readonly services: ReadonlyMap<NameKey, MeshService>;
  /** All pods of monitored namespaces. */
  readonly pods: ReadonlyMap<NameKey, PodObject>;
  /** Zone of each node, where it has one. */
  readonly zones: ReadonlyMap<string, string>;
  readonly access: Access;
  /** By apex service. */
  readonly splits: ReadonlyMap<NameKey, Split>;
  /** Apexes by backend service, sorted: a backend answers to their names too. */
  readonly apexesOf: ReadonlyMap<NameKey, readonly NameKey[]>;
  /** Pods that each service's selector matches, the mesh's own services or not. */
  readonly selected: ReadonlyMap<NameKey, readonly PodObject[]>;
  /** Services of each pod: by selector, and by endpoints. */
  readonly servicesOf: ReadonlyMap<NameKey, readonly NameKey[]>;
  /** Owner of each address and port that several services share: `<address>|<port>` to the service that keeps it. */
  readonly owners: ReadonlyMap<string, NameKey>;
  /** Pods that take plaintext from outside the mesh, with their open ports; only those that have one. */
  readonly plaintext: ReadonlyMap<NameKey, readonly PlaintextPort[]>;
  readonly parts: PartTable;
  readonly memo: ModelMemo;
}

/** What was already made of this revision, so that a hundred clients that see the same cost one. Parts outlive it in `parts`. */
export interface ModelMemo {
  readonly outbound: Map<string, OutboundView>;
  readonly inbound: Map<string, InboundView>;
  readonly assignments: WeakMap<MeshService, Map<string, EndpointAssignment>>;
  /** By service, port and the accounts that a client reaches. */
  readonly destinations: Map<string, Destination>;
  /** By the same, and whether the client is in the service's namespace. */
  readonly hosts: Map<string, readonly OutboundVirtualHost[]>;
  /** The server's HTTP routes, by account. */
  readonly permissions: Map<AccountKey, HttpPermissions>;
  /** Addresses that a service has for itself, by service and port. */
  readonly owned: Map<string, readonly string[]>;
  /** All addresses of HTTP services, by port. */
  readonly httpAddresses: Map<number, readonly string[]>;
}

/** Where a client's calls to a service port go. */
export type Destination =
  /** The last route has no conditions; a route without backends is answered 503. */
  | {
      readonly kind: 'forward';
      readonly routes: readonly OutboundRoute[];
      readonly clusters: readonly UpstreamCluster[];
    }
  | { readonly kind: 'denied' };

export function emptyMemo(): ModelMemo {
  return {
    outbound: new Map(),
    inbound: new Map(),
    assignments: new WeakMap(),
    destinations: new Map(),
    hosts: new Map(),
    permissions: new Map(),
    owned: new Map(),
    httpAddresses: new Map(),
  };
}

/** The value under this key, made when it is asked for the first time. */
export function memoised<K, T>(memo: Map<K, T>, key: K, make: () => T): T {
  const known = memo.get(key);
  if (known !== undefined) return known;
  const value = make();
  memo.set(key, value);
  return value;
}

export interface MeshService {
  readonly object: ServiceObject;
  readonly key: NameKey;
  readonly namespace: string;
  readonly name: string;
  readonly sni: string;
  /** TCP ports whose protocol is known, sorted by number. */
  readonly ports: readonly MeshPort[];
  /** TCP ports that calls cannot use: their protocol is unknown, or contradicts another port's on the same target port. */
  readonly closedPorts: readonly number[];
  /** Accounts of its meshed pods, ready or not. Sorted; empty when nothing stands behind it. */
  readonly accounts: readonly AccountKey[];
  /** Where clients find it: the cluster IPs, or for a headless service each pod's. Sorted by address. */
  readonly addresses: readonly ServiceAddress[];
  /** Host names of the pods of a headless service (StatefulSet), sorted. */
  readonly hostnames: readonly string[];
  /** Ready endpoints that are meshed, by port number. The only part that an endpoint change touches. */
  readonly endpoints: ReadonlyMap<number, readonly ServiceEndpoint[]>;
  /** Digest of everything but `object` and `endpoints`, and of the problems found. */
  readonly shape: string;
}

export interface MeshPort {
  readonly port: number;
  readonly protocol: MeshProtocol;
  /** As the Service says it. */
  readonly targetPort: number | string;
  /** What it comes to in the pods behind it; several where a named port differs between pods. Sorted. */
  readonly targetPorts: readonly number[];
}

export interface ServiceAddress {
  readonly address: string;
  /** Account of the pod that has the address; undefined for a cluster IP, behind which any account may stand. */
  readonly account: AccountKey | undefined;
}

export interface ServiceEndpoint extends MeshEndpoint {
  readonly account: AccountKey;
  readonly zone: string;
  readonly hintZones: readonly string[];
}

/** Who may call whom. */
export type Access =
  | { readonly kind: 'permissive' }
  | {
      readonly kind: 'policies';
      /** By destination account. */
      readonly http: ReadonlyMap<AccountKey, readonly HttpGrant[]>;
      readonly tcp: ReadonlyMap<AccountKey, readonly TcpGrant[]>;
    };

/** Sources that may send requests of one match to a destination. */
export interface HttpGrant {
  readonly match: HttpMatch;
  readonly sources: ReadonlySet<AccountKey>;
}

/** Sources that may open TCP connections to a destination. */
export interface TcpGrant {
  /** Target ports; empty means any. */
  readonly ports: readonly number[];
  readonly sources: ReadonlySet<AccountKey>;
}

/** The split of one apex, checked: every backend exists, on the apex's port, with the same kind of protocol. */
export interface Split {
  readonly apex: NameKey;
  /** Conditions under which it applies, HTTP only; empty means always. */
  readonly matches: readonly HttpMatch[];
  /** True when it asks for conditions: where none of them can be used, it applies to nothing. */
  readonly conditional: boolean;
  /** By apex port. A backend of weight 0 takes no calls, but knows the apex already. */
  readonly backends: ReadonlyMap<number, readonly { readonly service: NameKey; readonly weight: number }[]>;
}
