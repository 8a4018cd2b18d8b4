/** `npm run golden`: writes every golden anew from what the code makes now. What changed shows in `git diff`; nothing is judged here. */
import { globSync } from 'node:fs';
import { mochaStage } from '#test/support/stages.ts';
import { flagsOrExit } from '../../scripts/flags.ts';

flagsOrExit({
  command: 'npm run golden',
  does: 'Writes every golden anew from what the code makes now. Read the diff.',
});
const specs = [...globSync('test/golden/*.test.ts'), ...globSync('test/unit/cdk8s/*.test.ts')].sort();
const { failed } = await mochaStage('goldens', specs, { timeoutMs: 20_000, env: { OSM_UPDATE_GOLDEN: '1' } }).run();
process.exit(failed === 0 ? 0 : 1);
