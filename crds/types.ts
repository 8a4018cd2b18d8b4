/** TypeScript types of every kind, made from the schemas, as the parsers give them: defaults are filled in. */
import type { HttpRouteGroupWrittenSpec } from './schema/http-route-group.ts';
import type { EgressSpec } from './schema/egress.ts';
import type { ExtensionServiceSpec } from './schema/extension-service.ts';
import type { IngressBackendSpec } from './schema/ingress-backend.ts';
import type { MeshConfigSpec } from './schema/mesh-config.ts';
import type { MeshRootCertificateSpec } from './schema/mesh-root-certificate.ts';
import type { RetrySpec } from './schema/retry.ts';
import type { TcpRouteSpec } from './schema/tcp-route.ts';
import type { TelemetrySpec } from './schema/telemetry.ts';
import type { TrafficSplitSpec } from './schema/traffic-split.ts';
import type { TrafficTargetSpec } from './schema/traffic-target.ts';
import type { UpstreamTrafficSettingSpec } from './schema/upstream-traffic-setting.ts';

/** The metadata that the parsers look at; they pass the rest on untouched. */
export interface CustomObjectMeta {
  name: string;
  namespace?: string;
  uid?: string;
  generation?: number;
  creationTimestamp?: string;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
}

/** A whole object of one of our kinds. `status` is not validated: only the control plane writes it. */
export interface CustomObject<Spec> {
  apiVersion: string;
  kind: string;
  metadata: CustomObjectMeta;
  spec: Spec;
  status?: unknown;
}

type WrittenMatch = HttpRouteGroupWrittenSpec['matches'][number];

/** As written, but that `headers` is one map of lower-case names, whichever spelling the user chose. */
export type HttpRouteMatch = Omit<WrittenMatch, 'headers'> & { headers: Record<string, string> };
export interface HttpRouteGroupSpec {
  matches: HttpRouteMatch[];
}

export type MeshConfig = CustomObject<MeshConfigSpec>;
export type MeshRootCertificate = CustomObject<MeshRootCertificateSpec>;
export type ExtensionService = CustomObject<ExtensionServiceSpec>;
export type Egress = CustomObject<EgressSpec>;
export type IngressBackend = CustomObject<IngressBackendSpec>;
export type Retry = CustomObject<RetrySpec>;
export type UpstreamTrafficSetting = CustomObject<UpstreamTrafficSettingSpec>;
export type Telemetry = CustomObject<TelemetrySpec>;
export type TrafficTarget = CustomObject<TrafficTargetSpec>;
export type HttpRouteGroup = CustomObject<HttpRouteGroupSpec>;
export type TcpRoute = CustomObject<TcpRouteSpec>;
export type TrafficSplit = CustomObject<TrafficSplitSpec>;

export type {
  EgressSpec,
  ExtensionServiceSpec,
  HttpRouteGroupWrittenSpec,
  IngressBackendSpec,
  MeshConfigSpec,
  MeshRootCertificateSpec,
  RetrySpec,
  TcpRouteSpec,
  TelemetrySpec,
  TrafficSplitSpec,
  TrafficTargetSpec,
  UpstreamTrafficSettingSpec,
};
