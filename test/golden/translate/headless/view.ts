import { cluster, inboundView, outboundView, virtualHost } from '#test/support/views.ts';

const byAddress = { discovery: 'original-destination', targetPort: 3306 } as const;

/** Headless services: the address that the application resolved is the one reached, and no other one is tried. */
export const view = {
  outbound: outboundView({
    httpPorts: [
      {
        port: 9200,
        addresses: ['10.1.0.1', '10.1.0.2'],
        routes: { key: 'r', name: 'outbound.9200', virtualHosts: [virtualHost('search', 9200, 'shop/search|9200|0')] },
      },
    ],
    tcpServices: [
      {
        key: 'mysql',
        name: 'shop/mysql:3306',
        port: 3306,
        addresses: ['10.1.0.1', '10.1.0.2'],
        backends: [{ cluster: 'shop/mysql|3306|0', weight: 1 }],
      },
    ],
    clusters: [
      cluster('mysql', 3306, { ...byAddress, protocol: 'tcp-server-first' }),
      cluster('search', 9200, { ...byAddress, targetPort: 9201 }),
    ],
  }),
  inbound: inboundView(),
};

export const endpoints = [];
