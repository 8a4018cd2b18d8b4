/** What the sidecar's listeners have in common. */
import type { AddressSchema, TcpKeepaliveSchema } from '#xds/proto/gen/envoy/config/core/v3/address_pb.js';
import type { ListenerFilterSchema } from '#xds/proto/gen/envoy/config/listener/v3/listener_components_pb.js';
import type { ListenerSchema } from '#xds/proto/gen/envoy/config/listener/v3/listener_pb.js';
import { OriginalDstSchema } from '#xds/proto/gen/envoy/extensions/filters/listener/original_dst/v3/original_dst_pb.js';
import { TlsInspectorSchema } from '#xds/proto/gen/envoy/extensions/filters/listener/tls_inspector/v3/tls_inspector_pb.js';
import { type Init, pack } from './encode.ts';

type Listener = Init<typeof ListenerSchema>;
type ListenerFilter = Init<typeof ListenerFilterSchema>;

/** Where connections came from and went to before iptables redirected them. */
export const originalDestination: ListenerFilter = {
  name: 'envoy.filters.listener.original_dst',
  configType: { case: 'typedConfig', value: pack(OriginalDstSchema, {}) },
};

/** Server name and ALPN of a caller, before its chain is chosen. */
export const tlsInspector: ListenerFilter = {
  name: 'envoy.filters.listener.tls_inspector',
  configType: { case: 'typedConfig', value: pack(TlsInspectorSchema, {}) },
};

/** A peer that vanished without a word is given up after about 5½ minutes of silence. */
export const keepalive: Init<typeof TcpKeepaliveSchema> = {
  keepaliveTime: 300,
  keepaliveInterval: 10,
  keepaliveProbes: 3,
};

export function listenOn(
  port: number,
  ipv6: boolean,
): Pick<Listener, 'address' | 'additionalAddresses' | 'tcpKeepalive'> {
  return {
    address: socketAddress('0.0.0.0', port),
    additionalAddresses: ipv6 ? [{ address: socketAddress('::', port) }] : [],
    tcpKeepalive: keepalive,
  };
}

export function socketAddress(address: string, port: number): Init<typeof AddressSchema> {
  return {
    address: { case: 'socketAddress', value: { address, portSpecifier: { case: 'portValue', value: port } } },
  };
}
