/** Path conditions as a guard: evaluated with the RE2 that Envoy runs. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { RE2JS } from 're2js';
import { routeMatch } from '#xds/translate/http-match.ts';

/** Whether a guarded condition on `pathRegex` takes a request for `path`, as Envoy evaluates it. */
function takes(pathRegex: string, path: string): boolean {
  const { pathSpecifier, headers } = routeMatch({ pathRegex, methods: [], headers: [] }, 'guard');
  const plain = path.replace(/[?#].*/, '');
  if (pathSpecifier.case === 'safeRegex' && !RE2JS.matches(pathSpecifier.value.regex ?? '', plain)) return false;
  return headers.every((matcher) => {
    assert.equal(matcher.headerMatchSpecifier?.case, 'stringMatch');
    const pattern = matcher.headerMatchSpecifier.value.matchPattern;
    assert.equal(pattern?.case, 'safeRegex');
    return RE2JS.matches(pattern.value.regex ?? '', path) !== matcher.invertMatch;
  });
}

describe('a path condition that guards', () => {
  it('takes plain paths, whatever their query holds', () => {
    for (const path of ['/books/1', '/books/a;v=1', '/books/..a', '/books/1?next=%2F//..;/']) {
      assert.equal(takes('/books/.*', path), true, path);
    }
  });

  it('never takes a path with an ambiguous spelling, wherever it stands', () => {
    const piece = fc.constantFrom('/', 'a', '.', '-', '%20', 'books');
    const ambiguous = fc.constantFrom('%2f', '%2F', '%5c', '%5C', '//', '/..;', '/.;');
    const path = fc
      .tuple(fc.array(piece, { maxLength: 6 }), ambiguous, fc.array(piece, { maxLength: 6 }))
      .map(([head, middle, tail]) => `/books/${head.join('')}${middle}${tail.join('')}`);
    fc.assert(fc.property(path, (it) => !takes('/books/.*', it)));
  });

  it('takes them where its own regex speaks of them', () => {
    assert.equal(takes('/projects/[^/]+%2F[^/]+', '/projects/group%2Fname'), true);
    assert.equal(takes('/proxy/https?://.*', '/proxy/http://example.com'), true);
  });

  it('takes everything when it is no condition at all', () => {
    assert.equal(takes('.*', '/a//b%2fc/..;/d'), true);
  });
});
