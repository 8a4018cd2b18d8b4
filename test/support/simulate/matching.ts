// oxlint-disable typescript/switch-exhaustiveness-check -- of what Envoy knows, the mesh writes a few cases; any other throws
/** Envoy's conditions on texts, headers and paths, as its documentation says they are read. */
import { RE2JS } from 're2js';
import type { HeaderMatcher, RouteMatch } from '#xds/proto/gen/envoy/config/route/v3/route_components_pb.js';
import type { StringMatcher } from '#xds/proto/gen/envoy/type/matcher/v3/string_pb.js';

/** A request as a filter sees it. */
export interface SeenRequest {
  readonly authority: string;
  readonly method: string;
  /** With its query. */
  readonly path: string;
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string>>;
}

export function fullMatch(regex: string, text: string): boolean {
  return RE2JS.compile(regex).matches(text);
}

export function matchesText(matcher: StringMatcher, text: string): boolean {
  const { matchPattern } = matcher;
  switch (matchPattern.case) {
    case 'exact':
      return fold(matcher, text) === fold(matcher, matchPattern.value);
    case 'prefix':
      return fold(matcher, text).startsWith(fold(matcher, matchPattern.value));
    case 'suffix':
      return fold(matcher, text).endsWith(fold(matcher, matchPattern.value));
    case 'safeRegex':
      return fullMatch(matchPattern.value.regex, text);
    default:
      throw new Error(`the simulation does not know the text matcher ${matchPattern.case}`);
  }
}

function fold({ ignoreCase }: StringMatcher, text: string): string {
  return ignoreCase ? text.toLowerCase() : text;
}

export function matchesHeader(matcher: HeaderMatcher, request: SeenRequest): boolean {
  const value = headerOf(matcher.name, request);
  // A header that is absent matches nothing, inverted or not.
  if (value === undefined && !matcher.treatMissingHeaderAsEmpty) return false;
  const { headerMatchSpecifier: how } = matcher;
  switch (how.case) {
    case 'stringMatch':
      return matchesText(how.value, value ?? '') !== matcher.invertMatch;
    default:
      throw new Error(`the simulation does not know the header matcher ${how.case}`);
  }
}

function headerOf(name: string, request: SeenRequest): string | undefined {
  switch (name) {
    case ':authority':
      return request.authority;
    case ':method':
      return request.method;
    case ':path':
      return request.path;
    default:
      return request.headers[name];
  }
}

/** Without query and fragment: what path conditions are held against. */
export function pathOf(request: SeenRequest): string {
  return request.path.split(/[?#]/, 1)[0] ?? '';
}

export function matchesRoute(match: RouteMatch | undefined, request: SeenRequest): boolean {
  if (match === undefined) throw new Error('a route without a match');
  return matchesPath(match, request) && match.headers.every((matcher) => matchesHeader(matcher, request));
}

function matchesPath({ pathSpecifier }: RouteMatch, request: SeenRequest): boolean {
  switch (pathSpecifier.case) {
    case 'prefix':
      return pathOf(request).startsWith(pathSpecifier.value);
    case 'path':
      return pathOf(request) === pathSpecifier.value;
    case 'safeRegex':
      return fullMatch(pathSpecifier.value.regex, pathOf(request));
    default:
      throw new Error(`the simulation does not know the path condition ${pathSpecifier.case}`);
  }
}

/** `normalize_path`: dot segments go, escaped unreserved characters are written out. */
export function normalized(path: string): string {
  const { pathname, search } = new URL(path, 'http://host');
  return pathname + search;
}
