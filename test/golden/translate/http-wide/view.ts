import { httpChain, inboundRoute, inboundView, outboundView } from '#test/support/views.ts';

/** So many routes overlap that their grants stand beside them: the virtual host decides, and no route for itself. */
const chain = httpChain('catalogue', 14001, [
  inboundRoute('/.*books.*', { kind: 'accounts', accounts: ['shop/reader'] }, ['GET']),
  inboundRoute('/.*new', { kind: 'accounts', accounts: ['shop/writer'] }),
]);

export const view = {
  outbound: outboundView(),
  inbound: inboundView({
    chains: [
      {
        ...chain,
        policy: {
          kind: 'http',
          routes: {
            key: chain.name,
            name: `inbound.${chain.name}`,
            domains: ['catalogue.shop'],
            routes: chain.policy.kind === 'http' ? chain.policy.routes.routes : [],
            grants: [
              {
                matches: [
                  { pathRegex: '/.*books.*', methods: ['GET'], headers: [] },
                  { pathRegex: '/.*authors.*', methods: [], headers: [{ name: 'x-shelf', regex: '[0-9]+' }] },
                ],
                allowed: { kind: 'accounts', accounts: ['shop/reader'] },
              },
              {
                matches: [{ pathRegex: '/.*new', methods: [], headers: [] }],
                allowed: { kind: 'accounts', accounts: ['shop/writer'] },
              },
              {
                matches: [{ pathRegex: '/.*of-nobody', methods: [], headers: [] }],
                allowed: { kind: 'accounts', accounts: [] },
              },
            ],
          },
        },
      },
    ],
  }),
};

export const endpoints = [];
