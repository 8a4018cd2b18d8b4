import {
  assignment,
  cluster,
  httpChain,
  inboundRoute,
  inboundView,
  outboundView,
  virtualHost,
} from '#test/support/views.ts';

/** Permissive mode with egress: everybody may call, and what is not the mesh's passes. */
export const view = {
  outbound: outboundView({
    unknownDestinations: 'passthrough',
    httpPorts: [
      {
        port: 8080,
        addresses: ['10.0.0.1'],
        routes: { key: 'r', name: 'outbound.8080', virtualHosts: [virtualHost('web', 8080, 'shop/web|8080|0')] },
      },
    ],
    clusters: [cluster('web', 8080)],
  }),
  inbound: inboundView({
    chains: [
      httpChain('web', 80, [inboundRoute('.*', { kind: 'any-mesh-identity' })]),
      { ...httpChain('web-grpc', 80, [inboundRoute('.*', { kind: 'any-mesh-identity' })]), protocol: 'grpc' as const },
    ],
  }),
};

export const endpoints = [assignment('shop/web|8080|0', ['10.1.0.1', 80])];
