/** A copy of JSON that may be changed. Several times as fast as structuredClone, which admission pays for each pod. */
export function copyJson<T>(value: T): T {
  return copyAny(value) as T;
}

function copyAny(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(copyAny);
  const copy: Record<string, unknown> = {};
  for (const key of Object.keys(value)) {
    const own = copyAny((value as Record<string, unknown>)[key]);
    // Assignment to this name would set the prototype.
    if (key === '__proto__') Object.defineProperty(copy, key, { value: own, enumerable: true });
    else copy[key] = own;
  }
  return copy;
}
