/** Compares a text with a file beside the tests; `OSM_UPDATE_GOLDEN=1` writes the file instead. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export function expectGolden(name: string, actual: string): void {
  const path = join(import.meta.dirname, name);
  if (process.env['OSM_UPDATE_GOLDEN'] === '1') writeFileSync(path, actual);
  assert.equal(actual, readFileSync(path, 'utf8'), `${name} differs; if that is wanted: npm run golden`);
}
