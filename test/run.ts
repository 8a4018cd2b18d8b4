/**
 * The test run: `test/run.ts all|fast|integration|e2e|long [--context NAME] [--keep] [PATTERN]`.
 * It does all the set-up that a level needs, runs its stages, and ends with one line `N passed, N failed`.
 */
import { globSync } from 'node:fs';
import { parseArgs } from 'node:util';
import {
  add,
  closingLine,
  commandStage,
  type Counts,
  mochaStage,
  NOTHING,
  runStages,
  type Stage,
} from './support/stages.ts';

const LEVELS = ['all', 'fast', 'integration', 'e2e', 'long'] as const;
type Level = (typeof LEVELS)[number];

const HELP = `usage: npm test -- [LEVEL] [--context NAME] [--keep] [PATTERN]

LEVEL      all (default), fast (no cluster), integration (real API server and Envoy), e2e (whole cluster), long
--context  run e2e against the cluster of this kubeconfig context; tests that must stop a component are skipped
--keep     leave the test cluster up
PATTERN    only test files whose path contains it

OSM_TEST_CLUSTER names the cluster that is made (default osm-test).`;

const log = (line: string): void => console.error(line);

/** In this order: what later ones stand on comes first. */
const E2E_ORDER = [
  'install',
  'identity',
  'traffic',
  'modes',
  'changes',
  'tokens',
  'probes',
  'onboarding',
  'workloads',
  'demo',
  'certificates',
  'root-rotation',
  'provider-switch',
  'faults',
  'removal',
];

function fastStages(pattern: string | undefined): Stage[] {
  const bin = (name: string): string => `node_modules/.bin/${name}`;
  return [
    commandStage('types', [bin('tsc'), '--noEmit']),
    commandStage('lint', [bin('oxlint'), '--type-aware', '--quiet']),
    commandStage('format', [bin('biome'), 'format']),
    commandStage('generated files', [process.execPath, 'scripts/generate.ts', '--check']),
    ...mochaIfAny('unit and golden', globSync(['test/unit/**/*.test.ts', 'test/golden/*.test.ts']), pattern, 20_000),
  ];
}

/** What integration and e2e stand on, made before any test's deadline runs: on a new machine this takes about a quarter of an hour. */
async function setUp(): Promise<void> {
  log('\n=== set-up: system packages, Kubernetes, Envoy');
  const { ensureSystemPackages } = await import('./cluster/packages.ts');
  const { ensurePrograms } = await import('./cluster/programs.ts');
  // Others than root run integration without what needs it; a cluster refuses them by itself.
  if (process.getuid?.() === 0) await ensureSystemPackages(log);
  await ensurePrograms(log);
}

function integrationStages(pattern: string | undefined): Stage[] {
  return mochaIfAny('integration', globSync('test/integration/**/*.test.ts'), pattern, 120_000);
}

function mochaIfAny(name: string, files: readonly string[], pattern: string | undefined, timeoutMs: number): Stage[] {
  const chosen = files.filter((file) => pattern === undefined || file.includes(pattern)).sort();
  return chosen.length === 0 ? [] : [mochaStage(name, chosen, { timeoutMs })];
}

/** Brings a cluster up, runs the e2e files inside its network namespace, and takes it down again. */
async function runE2e(options: {
  context: string | undefined;
  keep: boolean;
  pattern: string | undefined;
}): Promise<Counts> {
  const name = process.env['OSM_TEST_CLUSTER'] ?? 'osm-test';
  const { clusterFor } = await import('./cluster/target.ts');
  const target = clusterFor({ name, context: options.context });
  const files = E2E_ORDER.map((file) => `test/e2e/${file}.test.ts`).filter(
    (file) => options.pattern === undefined || file.includes(options.pattern),
  );
  const env = {
    OSM_TEST_CLUSTER: name,
    ...(options.context === undefined ? {} : { OSM_TEST_CONTEXT: options.context }),
  };
  let counts: Counts = NOTHING;
  try {
    if (files.length > 0) {
      log(`\n=== cluster ${target.name}: up`);
      await target.up(log);
      const enter = (command: readonly string[]): readonly string[] => target.enter(command);
      counts = await runStages([mochaStage('end to end', files, { timeoutMs: 300_000, env, enter })], log);
    }
  } finally {
    if (files.length > 0 && !options.keep) await target.down();
  }
  if (target.ours && (options.pattern === undefined || 'cluster'.includes(options.pattern))) {
    const own = mochaStage('the cluster itself', ['test/e2e/cluster.test.ts'], { timeoutMs: 300_000, env });
    counts = add(counts, await runStages([own], log));
  }
  return counts;
}

function readArguments() {
  return parseArgs({
    allowPositionals: true,
    options: {
      context: { type: 'string' },
      keep: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
}

async function main(): Promise<number> {
  let given: ReturnType<typeof readArguments>;
  try {
    given = readArguments();
  } catch (error) {
    log(`${error instanceof Error ? error.message : String(error)}\n\n${HELP}`);
    return 2;
  }
  const { values, positionals } = given;
  if (values.help) {
    console.log(HELP);
    return 0;
  }
  const named = positionals.filter((word) => (LEVELS as readonly string[]).includes(word)) as Level[];
  const level = named.at(-1) ?? 'all';
  const pattern = positionals.find((word) => !(LEVELS as readonly string[]).includes(word));
  let counts: Counts = NOTHING;
  try {
    if (level === 'fast' || level === 'all') counts = add(counts, await runStages(fastStages(pattern), log));
    // Somebody else's cluster brings its own.
    if (level !== 'fast' && (level !== 'e2e' || values.context === undefined)) await setUp();
    if (level === 'integration' || level === 'all' || level === 'long')
      counts = add(counts, await runStages(integrationStages(pattern), log));
    if (level === 'e2e' || level === 'all' || level === 'long')
      counts = add(counts, await runE2e({ context: values.context, keep: values.keep, pattern }));
  } catch (error) {
    log(error instanceof Error ? (error.stack ?? error.message) : String(error));
    counts =
      counts.passed + counts.failed === 0
        ? { passed: 0, failed: 1, skipped: 0 }
        : add(counts, { passed: 0, failed: 1, skipped: 0 });
  }
  if (counts.passed + counts.failed === 0)
    log(`no test ran: no test file of level ${level} has ${JSON.stringify(pattern ?? '')} in its path`);
  console.log(closingLine(counts));
  return counts.failed === 0 && counts.passed > 0 ? 0 : 1;
}

process.exit(await main());
