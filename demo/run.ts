/**
 * `npm run demo`: a cluster, the mesh, the bookstore, and its nine steps. With --check it asserts each step and exits 1 at the first that
 * does not behave; with --down it takes the demo's cluster away.
 */
import { parseArgs } from 'node:util';
import { clusterFor } from '#test/cluster/target.ts';
import { deployBookstore, NAMESPACES } from './deploy.ts';
import type { Kubectl } from './observe.ts';
import { type WalkOptions, walk } from './walk.ts';

const HELP = `usage: npm run demo -- [--check] [--name NAME] [--context NAME] [--down] [--help]

Sets everything up on this machine, brings a one-node Kubernetes up, installs the mesh, deploys the bookstore, and walks it
through nine steps, printing for each the counters beside what was expected.

--check         assert each step; exit 1 at the first that does not behave
--name NAME     name of the cluster (default osm)
--context NAME  use the cluster of this kubeconfig context instead
--down          take the demo's cluster down, and end

Exit codes: 0 all steps as expected, 1 a step or the set-up failed, 2 wrong usage.`;

const MESH = ['meshconfig/osm-mesh-config', '-n', 'osm-system'];
const log = (line: string): void => console.log(line);

interface Options {
  readonly check: boolean;
  readonly name: string;
  readonly context: string | undefined;
  readonly down: boolean;
}

function readOptions(): Options | undefined {
  const { values } = parseArgs({
    options: {
      check: { type: 'boolean', default: false },
      name: { type: 'string', default: 'osm' },
      context: { type: 'string' },
      down: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) {
    log(HELP);
    return undefined;
  }
  // Throws when the name cannot be a cluster's: that is wrong usage, and nothing to look at in a cluster.
  clusterFor({ name: values.name, context: values.context });
  return { check: values.check, name: values.name, context: values.context, down: values.down };
}

async function main(options: Options): Promise<number> {
  const started = Date.now();
  const target = clusterFor({ name: options.name, context: options.context });
  if (options.down) {
    await target.down(log);
    if (options.context !== undefined)
      log(`nothing was done: context "${options.context}" is a cluster of somebody else's`);
    return 0;
  }
  log(`== The cluster (${options.context ?? options.name})`);
  await target.up((line) => log(`   ${line}`));
  const kubectl: Kubectl = async (args, input) => {
    const { code, stdout, stderr } = await target.kubectl([...args], input === undefined ? {} : { input });
    if (code !== 0) throw new Error(`kubectl ${args.join(' ')}: exit code ${code}\n${stderr}`);
    return stdout;
  };
  const walkOptions: WalkOptions = {
    kubectl,
    log,
    manifests: new URL('./manifests/', import.meta.url),
    meshNamespace: 'osm-system',
    check: options.check,
  };
  await installMesh(kubectl);
  log('\n== The bookstore');
  await deployBookstore(walkOptions);
  const failed = await walk(walkOptions);
  log(
    `\n== ${failed === 0 ? 'All nine steps behaved as expected' : `${failed} step(s) did not behave`} (${Math.round((Date.now() - started) / 1000)} s)`,
  );
  if (options.context === undefined) printHowToGoOn(options.name);
  return failed === 0 ? 0 : 1;
}

async function installMesh(kubectl: Kubectl): Promise<void> {
  const root = new URL('../', import.meta.url);
  log('\n== The mesh');
  log('   kubectl apply --server-side -f deploy/install.yaml');
  await kubectl(['apply', '--server-side', '--force-conflicts', '-f', new URL('deploy/install.yaml', root).pathname]);
  log('   kubectl apply -f crds/examples/meshconfig.yaml');
  await kubectl(['apply', '-f', new URL('crds/examples/meshconfig.yaml', root).pathname]);
  // A walk begins in permissive mode and without policies, also when an earlier one has left its own behind.
  await kubectl([
    'patch',
    ...MESH,
    '--type',
    'merge',
    '-p',
    '{"spec":{"traffic":{"enablePermissiveTrafficPolicyMode":true}}}',
  ]);
  const policies = 'traffictargets,httproutegroups,tcproutes,trafficsplits';
  for (const namespace of NAMESPACES)
    await kubectl(['delete', policies, '--all', '-n', namespace, '--ignore-not-found']);
  await kubectl(['delete', 'deployment', 'bookstore-v2', '-n', 'bookstore', '--ignore-not-found']);
  log(`   kubectl wait ${MESH.join(' ')} --for=condition=Ready`);
  await kubectl(['wait', ...MESH, '--for=condition=Ready', '--timeout=180s']);
}

function printHowToGoOn(name: string): void {
  const flag = name === 'osm' ? '' : ` --name ${name}`;
  log(`
Look around:
   npm run cluster --${flag} kubectl get pods -A
   npm run cluster --${flag} kubectl get meshconfig -n osm-system -o yaml
   npm run cluster --${flag} kubectl logs -n bookbuyer deploy/bookbuyer --tail=3
   npm run cluster --${flag} kubectl logs -n osm-system -l app=osm-controller
A counter page (bookbuyer, bookthief, bookstore and bookwarehouse each have one on 14001; from inside the pod, since it takes mTLS alone):
   npm run cluster --${flag} kubectl port-forward -n bookbuyer deploy/bookbuyer 14001 &
   npm run cluster --${flag} exec curl -s http://localhost:14001/raw
Take it down:
   npm run demo -- --down${flag}`);
}

/** The options, or undefined when there is nothing left to do: help was shown, or the usage was wrong. */
function optionsOrUsage(): Options | undefined {
  try {
    return readOptions();
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : String(error)}\n\n${HELP}`);
    process.exitCode = 2;
    return undefined;
  }
}

const options = optionsOrUsage();
if (options !== undefined) {
  try {
    process.exitCode = await main(options);
  } catch (error) {
    console.error(`\nthe demo stopped: ${error instanceof Error ? error.message : String(error)}`);
    console.error(
      options.context === undefined
        ? `look: npm run cluster -- --name ${options.name} status; then run the demo again, it goes on where it was`
        : `look: kubectl --context ${options.context} get nodes; then run the demo again, it goes on where it was`,
    );
    process.exitCode = 1;
  }
}
