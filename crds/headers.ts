/** `headers` of an HTTPRouteGroup's match: a list of maps, as OSM 1.2 wanted it, or a map, as SMI's text shows it. */
import { isRecord, type FieldError } from './validate.ts';

export type MergedHeaders =
  | { readonly ok: true; readonly headers: Record<string, string> }
  | { readonly ok: false; readonly errors: readonly FieldError[] };

/** One map of lower-case names; a name that occurs twice keeps the last expression, as in OSM. */
export function mergeHeaders(headers: unknown, field: string): MergedHeaders {
  const merged = new Map<string, string>();
  const errors: FieldError[] = [];
  const take = (map: unknown, path: string): void => {
    if (!isRecord(map)) {
      errors.push({ field: path, message: 'must be a map from header name to expression' });
      return;
    }
    for (const [name, expression] of Object.entries(map)) {
      if (name === '') errors.push({ field: path, message: 'has an entry without a header name' });
      else if (typeof expression === 'string') merged.set(name.toLowerCase(), expression);
      else errors.push({ field: `${path}.${name}`, message: 'must be a string' });
    }
  };
  if (Array.isArray(headers)) headers.forEach((map, index) => take(map, `${field}[${index}]`));
  else if (headers !== undefined) take(headers, field);
  return errors.length > 0 ? { ok: false, errors } : { ok: true, headers: Object.fromEntries(merged) };
}
