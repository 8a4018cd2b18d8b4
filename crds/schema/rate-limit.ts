/** The rate limits of UpstreamTrafficSetting. */
import { duration, flag, integer, list, name, object, oneOf, optional, port, text } from './kit.ts';

const unit = oneOf(['second', 'minute', 'hour'], 'The time that the number is for.');
const burst = optional(integer('How many more may come at once.', { minimum: 0 }));
const responseStatusCode = integer('Status of refused requests.', { minimum: 400, maximum: 599, default: 429 });

export const localTcpRateLimit = object('Limits new connections.', {
  connections: integer('How many connections.', { minimum: 1 }),
  unit,
  burst,
});

export const localHttpRateLimit = object('Limits requests.', {
  requests: integer('How many requests.', { minimum: 1 }),
  unit,
  burst,
  responseStatusCode,
  responseHeadersToAdd: optional(
    list(
      object('A header.', { name: name('Its name.'), value: name('Its value.') }),
      'Headers that refused requests are answered with.',
    ),
  ),
});

const rateLimitService = object('Where the rate limit service is.', {
  host: name('Its host name.'),
  port: port('Its port.'),
});
const domain = name('Domain that the service’s configuration knows the limits by.');
const timeout = duration('How long to wait for its answer.', { default: '20ms' });
const failOpen = flag('Lets traffic through when it does not answer.', true);

export const globalTcpRateLimit = object('Limits new connections.', {
  rateLimitService,
  domain,
  descriptors: list(
    object('Entries that the service looks up together.', {
      entries: list(object('A key and its value.', { key: name('The key.'), value: name('The value.') }), 'Entries.', {
        minItems: 1,
      }),
    }),
    'What is counted.',
    { minItems: 1 },
  ),
  timeout,
  failOpen,
});

const headerMatch = object(
  'A header, and exactly one way to compare it.',
  {
    name: name('Name of the header.'),
    exact: optional(text('The whole value.')),
    prefix: optional(text('How the value begins.')),
    suffix: optional(text('How the value ends.')),
    regex: optional(text('RE2 that must match the whole value.')),
    contains: optional(text('A part of the value.')),
    present: optional(flag('Whether the header is there.')),
  },
  { minProperties: 2, maxProperties: 2 },
);

export const descriptorEntry = object('Entries that the service looks up together.', {
  entries: list(
    object(
      'Exactly one of the four.',
      {
        genericKey: optional(
          object('A fixed value.', { value: name('The value.'), key: text('Its key.', { default: 'generic_key' }) }),
        ),
        remoteAddress: optional(object('The client’s address.', {})),
        requestHeader: optional(
          object('The value of a header.', { name: name('Name of the header.'), key: name('Key of the entry.') }),
        ),
        headerValueMatch: optional(
          object('A value that stands for headers that match.', {
            value: name('The value.'),
            headers: list(headerMatch, 'All must match.', { minItems: 1 }),
            key: text('Its key.', { default: 'header_match' }),
            expectMatch: flag('Whether the headers must match, or must not.', true),
          }),
        ),
      },
      { minProperties: 1, maxProperties: 1 },
    ),
    'Entries.',
    { minItems: 1 },
  ),
});

export const globalHttpRateLimit = object('Limits requests.', {
  rateLimitService,
  domain,
  descriptors: optional(list(descriptorEntry, 'What is counted.')),
  timeout,
  failOpen,
  enableXRateLimitHeaders: flag('Adds `x-ratelimit-…` headers to responses.', false),
  responseStatusCode,
});
