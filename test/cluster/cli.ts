// The test cluster's command line: `npm run cluster -- COMMAND`.
import type { ChildProcess } from 'node:child_process';
import { createReadStream, existsSync, statSync, watchFile, unwatchFile } from 'node:fs';
import { Argument, Command, InvalidArgumentError, Option } from 'commander';
import { Cluster, type ClusterStatus } from './cluster.ts';
import { COMPONENTS } from './components.ts';
import { clusterFor, type Target } from './target.ts';
import { lastLines } from './process.ts';

const EXIT_DOWN = 3;

const NOTES = `
Components: ${COMPONENTS.join(', ')}

Exit codes: 0 done, 1 failed, 2 wrong usage, ${EXIT_DOWN} (status) the cluster is not up. kubectl and exec end with their command's own.

For example:
  npm run cluster -- up                          a cluster named osm, with this checkout's images
  npm run cluster -- kubectl get pods -A
  npm run cluster -- exec curl -k https://127.0.0.1:6443/version
  npm run cluster -- --name second up            another one beside it
  npm run cluster -- logs kubelet --tail 50
  npm run cluster -- down`;

interface Which {
  readonly name: string;
  readonly context?: string;
}

const say = (line: string): void => console.error(line);
const program = new Command('cluster')
  .description('A real one-node Kubernetes in a network namespace, with no container engine and no registry.')
  .option('--name <name>', 'name of the cluster', 'osm')
  .option(
    '--context <context>',
    "use the cluster of this kubeconfig context instead: kubectl works, the rest says 'skipped'",
  )
  .addHelpText('after', NOTES)
  .enablePositionalOptions()
  .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2));

/** A subcommand that takes --name too, since people write it on either side. */
function subcommand(usage: string, description: string): Command {
  return program.command(usage).description(description).option('--name <name>', 'name of the cluster');
}

/** What was asked for on either side of the subcommand; the nearer one wins. */
function which(command: Command): Which {
  const outer = program.opts<Which>();
  const inner = command.opts<Partial<Which>>();
  return { ...outer, ...(inner.name === undefined ? {} : { name: inner.name }) };
}

const target = (command: Command): Target => clusterFor(which(command));

/** The cluster as one of ours, for what only those have. */
function owned(command: Command): Cluster {
  const { name, context } = which(command);
  if (context !== undefined)
    throw new Error(`skipped: this needs a cluster of ours, and context "${context}" is somebody else's`);
  return new Cluster(name);
}

subcommand('up', 'bring the cluster up, or what has died of it, and import the images')
  .addOption(
    new Option('--images <which>', 'which images to import; the cluster itself needs the essential ones')
      .choices(['all', 'essential'])
      .default('all'),
  )
  .action(async ({ images }: { images: 'all' | 'essential' }, command: Command) => {
    if (which(command).context === undefined) await owned(command).up(say, { images });
    else await target(command).up(say);
  });

subcommand('down', 'end and remove everything of the cluster').action(async (_, command: Command) => {
  await target(command).down(say);
});

subcommand('status', 'show what runs')
  .addOption(new Option('-o, --output <format>', 'how to print it').choices(['text', 'json']).default('text'))
  .action(async (options: { output: string }, command: Command) => {
    const status = await owned(command).status();
    console.log(options.output === 'json' ? JSON.stringify(status, null, 2) : statusText(status));
    if (status.state !== 'up') process.exitCode = EXIT_DOWN;
  });

passThrough('kubectl', "run kubectl as the cluster's administrator").action(
  (args: string[], _: unknown, command: Command) => attach(target(command).spawnKubectl(args, { stdio: 'inherit' })),
);

passThrough('exec', "run a command inside the cluster's network namespace, with KUBECONFIG set").action(
  (args: string[], _: unknown, command: Command) => {
    const [name, ...rest] = args;
    if (name === undefined) command.error('error: exec needs a command');
    return attach(target(command).spawnInside(name, rest, { stdio: 'inherit' }));
  },
);

subcommand('load [archives...]', "import image archives; without one, build and import this checkout's images").action(
  async (archives: string[], _: unknown, command: Command) => {
    const cluster = owned(command);
    const names = archives.length === 0 ? await cluster.loadImages(say) : await cluster.loadArchives(archives);
    console.log(names.length === 0 ? 'nothing new' : names.join('\n'));
  },
);

/** The component that a subcommand is about. */
const component = (): Argument => new Argument('<component>', 'which program').choices(COMPONENTS);

function lineCount(text: string): number {
  if (!/^\d+$/u.test(text)) throw new InvalidArgumentError('It is a number of lines.');
  return Number(text);
}

subcommand('logs', "show a component's log")
  .addArgument(component())
  .option('--tail <lines>', 'only the last lines', lineCount)
  .option('-f, --follow', 'go on as it grows')
  .action((name: string, options: { tail?: number; follow?: boolean }, command: Command) => {
    const cluster = owned(command);
    const text = cluster.logs(name);
    if (!existsSync(cluster.logPath(name)))
      throw new Error(
        `cluster ${cluster.name} has no log of ${name}: run "npm run cluster -- up --name ${cluster.name}"`,
      );
    console.log(options.tail === undefined ? text.trimEnd() : lastLines(text, options.tail));
    if (options.follow === true) follow(cluster.logPath(name));
  });

const changes = [
  ['stop', 'stop a component', (cluster: Target, name: string) => cluster.stopComponent(name)],
  ['start', 'start a component', (cluster: Target, name: string) => cluster.startComponent(name)],
  ['restart', 'stop a component and start it again', (cluster: Target, name: string) => cluster.restartComponent(name)],
] as const;
for (const [verb, description, act] of changes) {
  subcommand(verb, description)
    .addArgument(component())
    .action((name: string, _: unknown, command: Command) => act(target(command), name));
}

/** A subcommand whose arguments belong to another program, from the first word that is not --name. */
function passThrough(name: string, description: string): Command {
  return subcommand(`${name} [args...]`, description).helpOption(false).allowUnknownOption().passThroughOptions();
}

/** Waits for a child that has our terminal, and ends as it does. */
function attach(child: ChildProcess): Promise<void> {
  const signals = ['SIGINT', 'SIGTERM'] as const;
  const forward = (signal: NodeJS.Signals): boolean => child.kill(signal);
  for (const signal of signals) process.on(signal, forward);
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', (code) => {
      for (const signal of signals) process.off(signal, forward);
      process.exitCode = code ?? 1;
      resolve();
    });
  });
}

function follow(path: string): void {
  let from = statSync(path).size;
  watchFile(path, { interval: 500 }, ({ size }) => {
    if (size > from) createReadStream(path, { start: from, end: size - 1 }).pipe(process.stdout, { end: false });
    from = size;
  });
  process.once('SIGINT', () => unwatchFile(path));
}

function statusText(status: ClusterStatus): string {
  const rows = status.components.map(
    ({ name, running, pid }) => `  ${name.padEnd(20)} ${running ? `running, pid ${pid}` : 'not running'}`,
  );
  const images = Object.keys(status.images).map((image) => `  ${image}`);
  const yes = (ready: boolean): string => (ready ? 'Ready' : 'not Ready');
  return [
    `cluster ${status.name}: ${status.state} (node ${yes(status.nodeReady)}, DNS ${yes(status.dnsReady)})`,
    ...rows,
    ...(images.length === 0 ? [] : ['images:', ...images]),
    `network namespace: ${status.netns}`,
    `kubeconfig (inside it): ${status.kubeconfig}`,
  ].join('\n');
}

try {
  await program.parseAsync();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
