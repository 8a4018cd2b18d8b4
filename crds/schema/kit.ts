/**
 * Building blocks of the schemas. TypeBox's own `Enum`, `Union` and `Record` write `anyOf`, `const` and
 * `patternProperties`, which a structural schema may not hold; the ones here write what the API server accepts.
 *
 * A field with a default is not optional: the API server and our parsers fill it in before anything reads it, so its
 * type has no `undefined`. The CRD's `required` list leaves such fields out.
 */
import { Type, type TArray, type TObject, type TProperties, type TSchema, type TUnsafe } from 'typebox';

/** A rule over several fields: CEL for the API server and the same check in TypeScript for our parsers. */
export interface Rule {
  /** CEL over `self`, the value that carries the rule. */
  readonly rule: string;
  /** What must hold, as a sentence without a full stop. */
  readonly message: string;
  /** The field at fault, below the one that carries the rule, e.g. `.tlsMaxProtocolVersion`. */
  readonly fieldPath?: string;
  /** The same rule for the parser; it sees a value that the schema has already accepted. */
  // oxlint-disable-next-line typescript/no-explicit-any -- the schema that carries the rule gives the value its type
  readonly holds: (self: any) => boolean;
}

/** Marks a field that manifests may hold and that the mesh has no need of; the reference lists what is so marked. */
export const noEffect = 'Accepted without effect';

/** Marks a field that this version stores and that a later one will act on; listed likewise. */
export const notYet = 'This version does not act on it yet.';

export interface FieldOptions<T> {
  readonly default?: T;
  readonly rules?: readonly Rule[];
}

/** What a plain JSON schema may say of a field. */
type Keywords = Readonly<Record<string, unknown>>;

function keywords<T>(description: string, options: FieldOptions<T> = {}): Keywords {
  return {
    description,
    ...(options.default === undefined ? {} : { default: options.default }),
    ...(options.rules === undefined ? {} : { 'x-kubernetes-validations': options.rules }),
  };
}

export function optional<T extends TSchema>(schema: T) {
  return Type.Optional(schema);
}

export function text(description: string, options: FieldOptions<string> & Keywords = {}): TUnsafe<string> {
  const { default: fallback, rules, ...rest } = options;
  return Type.Unsafe<string>({ type: 'string', ...rest, ...keywords(description, pick(fallback, rules)) });
}

/** A string that says something: `minLength` 1. */
export function name(description: string): TUnsafe<string> {
  return text(description, { minLength: 1 });
}

export function flag(description: string, fallback?: boolean): TUnsafe<boolean> {
  return Type.Unsafe<boolean>({ type: 'boolean', ...keywords(description, pick(fallback, undefined)) });
}

export function integer(description: string, options: FieldOptions<number> & Keywords = {}): TUnsafe<number> {
  const { default: fallback, rules, ...rest } = options;
  return Type.Unsafe<number>({ type: 'integer', ...rest, ...keywords(description, pick(fallback, rules)) });
}

/** A TCP port, 1–65535. */
export function port(description: string, fallback?: number): TUnsafe<number> {
  return integer(description, { minimum: 1, maximum: 65535, ...(fallback === undefined ? {} : { default: fallback }) });
}

/** A string out of a fixed set. */
export function oneOf<const T extends readonly string[]>(
  values: T,
  description: string,
  fallback?: NoInfer<T[number]>,
): TUnsafe<T[number]> {
  return Type.Unsafe<T[number]>({
    type: 'string',
    enum: [...values],
    ...keywords(description, pick(fallback, undefined)),
  });
}

/**
 * What Go's `time.ParseDuration` reads, without a sign: `90s`, `1h30m`, `1.5h`, `0`. At most 32 characters, so that
 * CEL's cost estimate for `duration(self)` stays small.
 */
export const durationPattern = '^(0|(([0-9]+(\\.[0-9]*)?|\\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+)$';

export function duration(description: string, options: FieldOptions<string> = {}): TUnsafe<string> {
  return text(description, { pattern: durationPattern, maxLength: 32, ...options });
}

const octet = '(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])';

/** An IPv4 or IPv6 range. The pattern tells the two apart from typing errors; prefix lengths are checked by value. */
export const cidrPattern =
  `^(((${octet}\\.){3}${octet}/([0-9]|[12][0-9]|3[0-2]))|` +
  '([0-9A-Fa-f]{0,4}(:[0-9A-Fa-f]{0,4}){2,7}(:?([0-9]{1,3}\\.){3}[0-9]{1,3})?/([0-9]|[1-9][0-9]|1[01][0-9]|12[0-8])))$';

export function cidr(description: string): TUnsafe<string> {
  return text(description, { pattern: cidrPattern, maxLength: 64 });
}

export function list<T extends TSchema>(items: T, description: string, options: Keywords = {}): TArray<T> {
  return Type.Array(items, { ...options, description });
}

/** A map from string to string, e.g. labels. */
export function stringMap(description: string): TUnsafe<Record<string, string>> {
  return Type.Unsafe<Record<string, string>>({
    type: 'object',
    additionalProperties: { type: 'string' },
    description,
  });
}

/** Any object: Kubernetes checks it where it ends up. */
export function anyObject(description: string): TUnsafe<Record<string, unknown>> {
  return Type.Unsafe<Record<string, unknown>>({
    type: 'object',
    'x-kubernetes-preserve-unknown-fields': true,
    description,
  });
}

/** A part of which every field may be left out, and so the part too. */
export function section<P extends TProperties>(
  description: string,
  properties: P,
  rules?: readonly Rule[],
): TObject<P> {
  return Type.Object(properties, keywords<object>(description, pick<object>({}, rules)));
}

export function object<P extends TProperties>(
  description: string,
  properties: P,
  options: { readonly rules?: readonly Rule[] } & Keywords = {},
): TObject<P> {
  const { rules, ...rest } = options;
  return Type.Object(properties, { ...rest, ...keywords<object>(description, pick<object>(undefined, rules)) });
}

function pick<T>(fallback: T | undefined, rules: readonly Rule[] | undefined): FieldOptions<T> {
  return { ...(fallback === undefined ? {} : { default: fallback }), ...(rules === undefined ? {} : { rules }) };
}
