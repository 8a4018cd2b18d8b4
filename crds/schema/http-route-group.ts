import { Type, type Static } from 'typebox';
import { age, type KindDefinition } from './kind.ts';
import { list, name, object, oneOf, optional, text } from './kit.ts';

/** Header name to RE2 full match, in either of the spellings that users have. */
export type HeaderMatches = Record<string, string> | Record<string, string>[];

const spec = object('HTTP requests that policies can name.', {
  matches: list(
    object('Requests that fit all that is said here.', {
      name: name('Name of the match, for `matches` of a TrafficTarget.'),
      pathRegex: text('RE2 that must match the whole path.', { default: '.*' }),
      methods: optional(
        list(
          oneOf(['*', 'GET', 'HEAD', 'PUT', 'POST', 'DELETE', 'CONNECT', 'OPTIONS', 'TRACE', 'PATCH'], 'A method.'),
          'Methods; every one where left out or empty.',
        ),
      ),
      // A schema cannot say "a list of maps or a map" and stay structural; `parse.ts` checks what is inside.
      headers: optional(
        Type.Unsafe<HeaderMatches>({
          'x-kubernetes-preserve-unknown-fields': true,
          description:
            'Header names and the RE2 that must match the whole value: a map, or (as OSM 1.2 wanted it) a list of maps. All must match.',
        }),
      ),
    }),
    'Matches; one of them must fit.',
  ),
});

export type HttpRouteGroupWrittenSpec = Static<typeof spec>;

export const httpRouteGroup = {
  group: 'specs.smi-spec.io',
  kind: 'HTTPRouteGroup',
  plural: 'httproutegroups',
  shortNames: ['htr'],
  description: 'A group of HTTP routes, for TrafficTarget, TrafficSplit and Egress (SMI traffic specs).',
  versions: [{ name: 'v1alpha4' }],
  spec,
  columns: [age],
} as const satisfies KindDefinition;
