import {
  assignment,
  cluster,
  httpChain,
  inboundRoute,
  inboundView,
  outboundView,
  virtualHost,
} from '#test/support/views.ts';

/** Both address families: additional listener addresses, /128 ranges, IPv6 endpoints, an application on the pod's address. */
export const view = {
  outbound: outboundView({
    ipv6: true,
    httpPorts: [
      {
        port: 80,
        addresses: ['10.0.0.1', 'fd00::1'],
        routes: { key: 'r', name: 'outbound.80', virtualHosts: [virtualHost('web', 80, 'shop/web|80|0')] },
      },
    ],
    closedTcp: [{ reason: 'not-allowed', port: 5432, addresses: ['fd00::2'] }],
    clusters: [cluster('web', 80)],
  }),
  inbound: inboundView({
    ipv6: true,
    metrics: true,
    applicationAddress: 'fd00:1::5',
    chains: [httpChain('web', 80, [inboundRoute('.*', { kind: 'any-mesh-identity' })])],
  }),
};

export const endpoints = [assignment('shop/web|80|0', ['fd00:1::1', 80])];
