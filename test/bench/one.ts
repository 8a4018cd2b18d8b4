/** Runs one benchmark in this process, and writes its figures as JSON: `test/bench/one.ts NAME FILE`. */
import { writeFileSync } from 'node:fs';
import type { Bench } from './result.ts';

const [name, file] = process.argv.slice(2);
if (name === undefined || file === undefined) {
  console.error('usage: test/bench/one.ts NAME FILE');
  process.exit(2);
}
const { bench } = (await import(`./${name}.bench.ts`)) as { bench: Bench };
writeFileSync(file, JSON.stringify(await bench()));
process.exit(0);
