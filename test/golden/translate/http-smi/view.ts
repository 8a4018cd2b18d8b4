import {
  assignment,
  cluster,
  httpChain,
  inboundRoute,
  inboundView,
  outboundView,
  virtualHost,
} from '#test/support/views.ts';

/** SMI mode: a split, a match on a header, a service that may not be called, and guarded inbound routes. */
export const view = {
  outbound: outboundView({
    httpPorts: [
      {
        port: 80,
        addresses: ['10.0.0.1', '10.0.0.2', '10.0.0.3'],
        routes: {
          key: 'outbound.80',
          name: 'outbound.80',
          virtualHosts: [
            {
              ...virtualHost('bookstore', 80),
              action: {
                kind: 'forward',
                routes: [
                  {
                    match: { pathRegex: '.*', methods: [], headers: [{ name: 'user-agent', regex: '.*Firefox.*' }] },
                    backends: [{ cluster: 'shop/bookstore-v2|80|0', weight: 100 }],
                  },
                  {
                    match: undefined,
                    backends: [
                      { cluster: 'shop/bookstore-v1|80|0', weight: 90 },
                      { cluster: 'shop/bookstore-v2|80|0', weight: 10 },
                    ],
                  },
                ],
              },
            },
            {
              ...virtualHost('bookwarehouse', 80),
              action: {
                kind: 'deny',
                denial: { key: 'not-allowed', message: 'shop/bookbuyer may not call shop/bookwarehouse.' },
              },
            },
            virtualHost('without-backends', 80),
          ],
        },
      },
    ],
    clusters: [cluster('bookstore-v1', 80), cluster('bookstore-v2', 80, { protocol: 'grpc' })],
  }),
  inbound: inboundView({
    metrics: true,
    chains: [
      httpChain('bookbuyer', 14001, [
        {
          ...inboundRoute('/buy', { kind: 'accounts', accounts: ['shop/admin', 'shop/robot.v2'] }, ['GET', 'POST']),
          alsoAllowed: [
            {
              match: { pathRegex: '/b.*', methods: ['GET'], headers: [{ name: 'host', regex: 'bookbuyer.*' }] },
              allowed: { kind: 'accounts', accounts: ['shop/reader'] },
            },
          ],
        },
        inboundRoute('.*', { kind: 'accounts', accounts: [] }),
      ]),
    ],
  }),
};

export const endpoints = [
  assignment('shop/bookstore-v1|80|0', ['10.1.0.1', 14001], ['10.1.0.2', 14001]),
  {
    cluster: 'shop/bookstore-v2|80|0',
    localities: [
      { ...assignment('', ['10.1.1.1', 14001]).localities[0]!, zone: 'b', priority: 1 },
      { ...assignment('', ['10.1.2.1', 14001]).localities[0]!, zone: 'c', priority: 1 },
    ],
  },
];
