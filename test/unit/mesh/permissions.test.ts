import assert from 'node:assert/strict';
import fc from 'fast-check';
import { evaluateServer, matchesRequest } from '#mesh/check.ts';
import type { AccountKey } from '#mesh/identity.ts';
import type { HttpGrant } from '#mesh/model.ts';
import { inboundRoutes } from '#mesh/permissions.ts';
import type { HttpMatch, InboundView } from '#mesh/view.ts';
import { SETTINGS } from './builders.ts';

/** Expressions that overlap, cover one another, and stand apart. */
const matches: fc.Arbitrary<HttpMatch> = fc.record({
  pathRegex: fc.constantFrom(
    '.*',
    '/a',
    '/ab',
    '/a.*',
    '/.*b',
    '/[ab]+',
    '/b',
    '/ab*',
    '/b?a.*',
    '/a{0}b',
    '/b.*|/a.*',
    '/(b|a)b',
  ),
  methods: fc.constantFrom([], ['GET'], ['POST'], ['GET', 'POST']),
  headers: fc.constantFrom(
    [],
    [{ name: 'x', regex: '1' }],
    [{ name: 'x', regex: '.*' }],
    [{ name: 'host', regex: 's' }],
  ),
});

const accounts = fc.constantFrom<AccountKey>('n/a', 'n/b', 'n/c');

const grants: fc.Arbitrary<HttpGrant[]> = fc.array(
  fc.record({ match: matches, sources: fc.uniqueArray(accounts).map((sources) => new Set(sources)) }),
  { maxLength: 6 },
);

const requests = fc.record({
  host: fc.constant('s'),
  path: fc.constantFrom('/', '/a', '/ab', '/b', '/ba', '/axb'),
  method: fc.constantFrom('GET', 'POST', 'PUT'),
  headers: fc.constantFrom({}, { x: '1' }, { x: '2' }),
});

describe('the server’s routes', () => {
  it('pass a request exactly when one grant passes it, whatever else matches it', () => {
    fc.assert(
      fc.property(grants, requests, accounts, (http, request, source) => {
        const routes = inboundRoutes({ kind: 'policies', http: new Map([['n/s', http]]), tcp: new Map() }, 'n/s');
        const policy = { kind: 'http', routes: { key: '', name: '', domains: ['s'], routes } } as const;
        const view: InboundView = {
          key: '',
          chains: [{ key: '', name: 's', targetPort: 80, sni: 's', protocol: 'http', policy }],
          metrics: false,
          applicationAddress: '127.0.0.1',
          plaintext: [],
          applicationIdleTimeoutMs: 0,
          tls: SETTINGS.tls,
          maxConnectionMs: 0,
          ipv6: false,
        };
        const expected = http.some(({ match, sources }) => sources.has(source) && matchesRequest(match, request));
        const { outcome } = evaluateServer(view, { address: '', port: 80, sni: 's', source, http: request });
        assert.equal(outcome === 'passed', expected);
      }),
      { numRuns: 2000 },
    );
  });

  it('say nothing of each other where their paths begin differently, so that a policy of many paths stays small', () => {
    const routesOf = (...paths: string[]) => {
      const http = paths.map((pathRegex, index) => ({
        match: { pathRegex, methods: [], headers: [] },
        sources: new Set<AccountKey>([`n/${index}`]),
      }));
      return inboundRoutes({ kind: 'policies', http: new Map([['n/s', http]]), tcp: new Map() }, 'n/s');
    };
    const many = routesOf(...Array.from({ length: 300 }, (_, index) => `/things/${index}/.*`));
    assert.deepEqual(
      many.filter(({ alsoAllowed }) => alsoAllowed !== undefined),
      [],
    );
    const overlap = routesOf('/things/1.*', '/things/12.*', '/thongs/.*');
    assert.deepEqual(
      overlap.map(({ match, alsoAllowed = [] }) => [
        match.pathRegex,
        alsoAllowed.map((other) => other.match.pathRegex),
      ]),
      [
        ['/things/12.*', ['/things/1.*']],
        ['/things/1.*', ['/things/12.*']],
        ['/thongs/.*', []],
      ],
    );
    const bar = routesOf('/b/.*|/a/.*', '/a/x.*');
    assert.deepEqual(
      bar.map(({ alsoAllowed = [] }) => alsoAllowed.length),
      [1, 1],
      'a bar hides how the rest begins',
    );
  });

  it('a hundred overlapping matches of a hundred sources are compared in good time', () => {
    const http = Array.from({ length: 100 }, (_, index) => ({
      match: { pathRegex: `/api/${index}/.*|/v${index}`, methods: [], headers: [] },
      sources: new Set<AccountKey>([`n/${index}`]),
    }));
    const started = process.cpuUsage();
    const routes = inboundRoutes({ kind: 'policies', http: new Map([['n/s', http]]), tcp: new Map() }, 'n/s');
    const { user } = process.cpuUsage(started);
    assert.equal(routes.length, 100);
    assert.ok(user < 1_000_000, `${user} µs`);
  });
});
