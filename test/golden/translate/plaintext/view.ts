import { httpChain, inboundRoute, inboundView, outboundView } from '#test/support/views.ts';

/** A pod that takes plaintext from outside the mesh beside mTLS, for each kind of protocol that can. */
export const view = {
  outbound: outboundView(),
  inbound: inboundView({
    chains: [
      httpChain('web', 8080, [inboundRoute('.*', { kind: 'any-mesh-identity' })]),
      { ...httpChain('api', 9000, [inboundRoute('.*', { kind: 'any-mesh-identity' })]), protocol: 'grpc' as const },
      {
        key: 'cache',
        name: 'shop/cache.6379',
        targetPort: 6379,
        sni: 'cache.shop.svc.cluster.local',
        protocol: 'tcp' as const,
        policy: { kind: 'tcp' as const, allowed: { kind: 'any-mesh-identity' as const } },
      },
    ],
    plaintext: [
      { targetPort: 6379, protocol: 'tcp' },
      { targetPort: 8080, protocol: 'http' },
      { targetPort: 9000, protocol: 'grpc' },
    ],
  }),
};

export const endpoints = [];
