import assert from 'node:assert/strict';
import fc from 'fast-check';
import { evaluateServer, type HttpCall, matchesRequest } from '#mesh/check.ts';
import type { AccountKey } from '#mesh/identity.ts';
import type { HttpGrant } from '#mesh/model.ts';
import { httpPermissions } from '#mesh/permissions.ts';
import type { HttpMatch, HttpPermissions, InboundView } from '#mesh/view.ts';
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

const SERVER = 'n/s';

const permissionsOf = (http: HttpGrant[]): HttpPermissions =>
  httpPermissions({ kind: 'policies', http: new Map([[SERVER, http]]), tcp: new Map() }, SERVER);

/** A grant for each path, to a source of its own. */
const granted = (paths: readonly string[]): HttpGrant[] =>
  paths.map((pathRegex, index) => ({
    match: { pathRegex, methods: [], headers: [] },
    sources: new Set<AccountKey>([`n/${index}`]),
  }));

const numbered = (count: number, path: (index: number) => string): string[] =>
  Array.from({ length: count }, (_, index) => path(index));

function passes(permissions: HttpPermissions, source: AccountKey, request: HttpCall): boolean {
  const policy = { kind: 'http', routes: { key: '', name: '', domains: ['s'], ...permissions } } as const;
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
  return evaluateServer(view, { address: '', port: 80, sni: 's', source, http: request }).outcome === 'passed';
}

describe('the server’s routes', () => {
  const expected = (http: readonly HttpGrant[], source: AccountKey, request: HttpCall): boolean =>
    http.some(({ match, sources }) => sources.has(source) && matchesRequest(match, request));

  it('pass a request exactly when one grant passes it, whatever else matches it', () => {
    fc.assert(
      fc.property(grants, requests, accounts, (http, request, source) => {
        const permissions = permissionsOf(http);
        assert.equal(permissions.grants, undefined);
        assert.equal(passes(permissions, source, request), expected(http, source, request));
      }),
      { numRuns: 2000 },
    );
  });

  it('do the same where so many overlap that their grants stand beside the routes', () => {
    const others = granted(numbered(120, (index) => `/.*of-another/${index}`));
    fc.assert(
      fc.property(grants, requests, accounts, (http, request, source) => {
        const permissions = permissionsOf([...http, ...others]);
        assert.notEqual(permissions.grants, undefined);
        assert.equal(passes(permissions, source, request), expected(http, source, request));
      }),
      { numRuns: 100 },
    );
  });

  it('say nothing of each other where their paths begin differently, so that a policy of many paths stays small', () => {
    const routesOf = (...paths: string[]) => permissionsOf(granted(paths)).routes;
    const many = routesOf(...numbered(300, (index) => `/things/${index}/.*`));
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

  describe('of three thousand matches', () => {
    /** Sources that count how often they are compared. */
    class CountedSet extends Set<AccountKey> {
      static compared = 0;
      override has(account: AccountKey): boolean {
        CountedSet.compared += 1;
        return super.has(account);
      }
    }

    const size = 3000;
    /** Permissions, how many comparisons it took, and how often they write a match down. */
    function counted(http: readonly HttpGrant[]) {
      const copies = new Map([...new Set(http.map(({ sources }) => sources))].map((it) => [it, new CountedSet(it)]));
      CountedSet.compared = 0;
      const made = permissionsOf(
        http.map(({ match, sources }) => ({ match, sources: copies.get(sources) ?? new CountedSet() })),
      );
      const { compared } = CountedSet;
      const besides = made.routes.flatMap(({ alsoAllowed = [] }) => alsoAllowed).length;
      const together = (made.grants ?? []).flatMap(({ matches: all }) => all).length;
      return { made, compared, written: made.routes.length + besides + together };
    }

    it('that all overlap, each of another source, are compared some tens of thousands of times and written twice', () => {
      const { made, compared, written } = counted(granted(numbered(size, (index) => `/.*x${index}`)));
      assert.equal(made.routes.length, size);
      assert.equal(made.grants?.length, size);
      assert.ok(compared <= 10_000 + 6 * size, `${compared} comparisons`);
      assert.equal(written, 2 * size);
    });

    it('that all overlap, of one target, are written once', () => {
      const sources = new Set<AccountKey>(['n/a', 'n/b']);
      const http = granted(numbered(size, (index) => `/.*x${index}`)).map(({ match }) => ({ match, sources }));
      const { made, compared, written } = counted(http);
      assert.equal(made.grants, undefined);
      assert.ok(compared <= 3 * size, `${compared} comparisons`);
      assert.equal(written, size);
    });

    it('that begin differently carry none of each other, but the one that takes everything', () => {
      const http = granted([...numbered(size, (index) => `/things/${index}/.*`), '/.*']);
      const { made, compared, written } = counted(http);
      assert.equal(made.grants, undefined);
      assert.ok(compared <= 10 * size, `${compared} comparisons`);
      assert.equal(written, 3 * size + 1, 'each carries the wide one, which carries each');
    });
  });
});
