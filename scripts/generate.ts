/**
 * `npm run generate` writes every generated file of the repository; `npm run check` (`--check`) writes nothing, and
 * fails when one differs from what its sources make. To add a generator, add a row to the table in `generators.ts`.
 */
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { flagsOrExit } from './flags.ts';
import { compareGenerated } from './generated-files.ts';

const flags = flagsOrExit({
  command: 'npm run generate',
  does: 'Writes every generated file of the repository anew.',
  flags: { check: 'write nothing, and fail where one differs from what its sources make (npm run check)' },
});
// All that anything is generated from: who asks for help need not wait for it.
const { generators } = await import('./generators.ts');
const check = flags.has('check');
const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const { differences, failures } = await compareGenerated(root, generators, !check);

for (const { path, problem } of differences) console.log(check ? `${path}: ${problem}` : `mended ${path}: ${problem}`);
for (const failure of failures) console.error(`cannot generate the ${failure}`);
if (check && differences.length > 0) {
  console.error(`${differences.length} file(s) are not what their sources make; mend with: npm run generate`);
}
if (failures.length > 0 || (check && differences.length > 0)) process.exitCode = 1;
