/**
 * From our schemas to what the API server takes: a structural schema. What it would refuse (or worse: install, and
 * mark with a NonStructuralSchema condition that nobody reads) is refused here, with the path, before it is written.
 */
import type { TSchema } from 'typebox';
import { Value } from 'typebox/value';
import { brokenRules, isRecord, rulesOf } from './validate.ts';

/** A JSON object of the CRD. */
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
export type JsonObject = { [key: string]: Json };

export class NotStructural extends Error {
  constructor(path: string, problem: string) {
    super(`${path}: ${problem}`);
    this.name = 'NotStructural';
  }
}

/** Keywords that apiextensions.k8s.io/v1 forbids in any place. */
const forbidden = [
  '$ref',
  '$id',
  '$schema',
  '$defs',
  'definitions',
  'dependencies',
  'patternProperties',
  'additionalItems',
  'const',
  'if',
  'then',
  'else',
  'allOf',
  'oneOf',
  'not',
] as const;

/** The schema as the CRD holds it. Throws NotStructural. `path` is for the message, e.g. `MeshConfig.spec`. */
export function structural(schema: TSchema, path: string): JsonObject {
  const source = schema as Record<string, unknown>;
  refuseKeywords(source, path);
  refuseMissingType(source, path);
  refuseBadDefault(schema, path);
  const result: JsonObject = {};
  for (const [key, value] of Object.entries(source)) {
    if (key.startsWith('~')) continue;
    switch (key) {
      case 'properties':
        result[key] = properties(value, path);
        break;
      case 'items':
        result[key] = structural(value as TSchema, `${path}[]`);
        break;
      case 'additionalProperties':
        result[key] = structural(value as TSchema, `${path}.*`);
        break;
      case 'required': {
        const required = withoutDefaulted(value, source['properties']);
        if (required.length > 0) result[key] = required;
        break;
      }
      case 'x-kubernetes-validations':
        result[key] = (value as Record<string, Json>[]).map(({ holds: _checkedInTypeScript, ...rule }) => rule);
        break;
      case 'default':
        result[key] = defaultOf(schema);
        break;
      default:
        // A copy: writers of YAML make an anchor and aliases of an object that occurs twice.
        result[key] = structuredClone(value) as Json;
    }
  }
  return result;
}

/**
 * The API server checks a default against the rules beside it before it fills in what the default leaves out: such a
 * default must be complete. Elsewhere `{}` will do.
 */
function defaultOf(schema: TSchema): Json {
  const fallback: unknown = Reflect.get(schema, 'default');
  const copy: unknown = structuredClone(fallback);
  return (rulesOf(schema).length > 0 ? Value.Default(schema, copy) : copy) as Json;
}

function properties(value: unknown, path: string): JsonObject {
  return Object.fromEntries(
    Object.entries(value as Record<string, TSchema>).map(([name, schema]) => [
      name,
      structural(schema, `${path}.${name}`),
    ]),
  );
}

function withoutDefaulted(required: unknown, siblings: unknown): string[] {
  return (required as string[]).filter((name) => {
    const schema = isRecord(siblings) ? siblings[name] : undefined;
    return !(isRecord(schema) && 'default' in schema);
  });
}

function refuseKeywords(schema: Record<string, unknown>, path: string): void {
  for (const keyword of forbidden) {
    if (keyword in schema) throw new NotStructural(path, `${keyword} has no place in a structural schema`);
  }
  if ('anyOf' in schema && schema['x-kubernetes-int-or-string'] !== true) {
    throw new NotStructural(
      path,
      'anyOf is only possible with x-kubernetes-int-or-string; use oneOf() of kit.ts for enums',
    );
  }
  if ('additionalProperties' in schema) {
    if ('properties' in schema) throw new NotStructural(path, 'additionalProperties excludes properties');
    if (!isRecord(schema['additionalProperties'])) {
      throw new NotStructural(
        path,
        'additionalProperties must be a schema; the API server prunes unknown fields by itself',
      );
    }
  }
  if (Array.isArray(schema['items'])) throw new NotStructural(path, 'items must be one schema, not a tuple');
}

const types = ['object', 'array', 'string', 'number', 'integer', 'boolean'];

function refuseMissingType(schema: Record<string, unknown>, path: string): void {
  const typeless =
    schema['x-kubernetes-int-or-string'] === true || schema['x-kubernetes-preserve-unknown-fields'] === true;
  if (!('type' in schema)) {
    if (!typeless) throw new NotStructural(path, 'type is missing');
    return;
  }
  if (typeof schema['type'] !== 'string' || !types.includes(schema['type'])) {
    throw new NotStructural(path, `type must be one of ${types.join(', ')}`);
  }
  if (schema['type'] === 'array' && !('items' in schema)) throw new NotStructural(path, 'items is missing');
}

/** The API server applies a default before it validates, so one that fails would make the field impossible to leave out. */
function refuseBadDefault(schema: TSchema, path: string): void {
  const fallback: unknown = Reflect.get(schema, 'default');
  if (fallback === undefined) return;
  const filled = Value.Default(schema, structuredClone(fallback));
  const [error] = Value.Errors(schema, filled);
  const [broken] = error === undefined ? brokenRules(schema, filled, path) : [];
  const problem = error?.message ?? broken?.message;
  if (problem !== undefined) {
    throw new NotStructural(path, `the default ${JSON.stringify(fallback)} fails its own schema: ${problem}`);
  }
}
