/** Checks a value against a schema of ours and fills in its defaults, as the API server would. */
import type { TSchema } from 'typebox';
import type { TLocalizedValidationError } from 'typebox/error';
import { Value } from 'typebox/value';
import type { Rule } from './schema/kit.ts';

export interface FieldError {
  /** As a user writes it: `spec.backends[1].weight`. */
  readonly field: string;
  /** What is wrong, as a sentence without subject and full stop: `must be one of Localhost, PodIP`. */
  readonly message: string;
}

export type Validated =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly errors: readonly FieldError[] };

/** `field` is the path of `value`. The argument is not changed. A null is read as a field that was left out. */
export function validate(schema: TSchema, value: unknown, field: string): Validated {
  const filled: unknown = Value.Default(schema, withoutNulls(value));
  const errors = schemaErrors(schema, filled, field);
  if (errors.length > 0) return { ok: false, errors };
  // Only then, as on the API server: rules may count on the shape of what they see.
  const broken = brokenRules(schema, filled, field);
  return broken.length > 0 ? { ok: false, errors: broken } : { ok: true, value: filled };
}

function schemaErrors(schema: TSchema, value: unknown, field: string): FieldError[] {
  const errors: FieldError[] = [];
  for (const error of Value.Errors(schema, value)) {
    // The alternatives of int-or-string, and the parent of a bad map entry: the message about the value itself says it.
    if (error.schemaPath.includes('/anyOf/') || error.keyword === 'additionalProperties') continue;
    const path = fieldPath(field, error.instancePath);
    if (error.keyword === 'required') {
      for (const missing of error.params.requiredProperties) {
        errors.push({ field: `${path}.${missing}`, message: 'is missing' });
      }
    } else errors.push({ field: path, message: sentence(error) });
  }
  return errors;
}

function sentence(error: TLocalizedValidationError): string {
  if (error.keyword === 'enum') return `must be one of ${error.params.allowedValues.join(', ')}`;
  if (error.keyword === 'anyOf') return 'must be a number or a string';
  if (error.keyword === 'minLength' && error.params.limit === 1) return 'must not be empty';
  return error.message;
}

/** `/backends/1/weight` below `spec` becomes `spec.backends[1].weight`. */
function fieldPath(root: string, pointer: string): string {
  return pointer
    .split('/')
    .slice(1)
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'))
    .reduce((path, part) => (/^[0-9]+$/.test(part) ? `${path}[${part}]` : `${path}.${part}`), root);
}

/** The rules of a schema node; `kit.ts` put them there. */
export function rulesOf(schema: TSchema): readonly Rule[] {
  const rules: unknown = Reflect.get(schema, 'x-kubernetes-validations');
  return Array.isArray(rules) ? (rules as readonly Rule[]) : [];
}

/** Every rule that does not hold, in the value and below it. */
export function brokenRules(schema: TSchema, value: unknown, field: string): FieldError[] {
  const errors: FieldError[] = rulesOf(schema)
    .filter((rule) => !rule.holds(value))
    .map((rule) => ({ field: `${field}${rule.fieldPath ?? ''}`, message: rule.message }));
  if (Array.isArray(value)) {
    const items = child(schema, 'items');
    if (items !== undefined)
      value.forEach((item, index) => errors.push(...brokenRules(items, item, `${field}[${index}]`)));
  } else if (isRecord(value)) {
    const properties = child(schema, 'properties');
    for (const [key, part] of Object.entries(value)) {
      const property = properties === undefined ? undefined : child(properties, key);
      if (property !== undefined) errors.push(...brokenRules(property, part, `${field}.${key}`));
    }
  }
  return errors;
}

function child(schema: TSchema, key: string): TSchema | undefined {
  const found: unknown = Object.hasOwn(schema, key) ? Reflect.get(schema, key) : undefined;
  return isRecord(found) ? found : undefined;
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A deep copy in which no object has a field that is null. */
function withoutNulls(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutNulls);
  if (!isRecord(value)) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, part]) => part !== null)
      .map(([key, part]) => [key, withoutNulls(part)]),
  );
}
