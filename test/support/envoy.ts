/** A real Envoy for tests, on loopback. Every one that is started is stopped by its own process. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { escapeRegex } from '#mesh/identity.ts';
import { lastLines, run } from '#test/cluster/process.ts';
import { ensureEnvoy } from '#test/cluster/programs.ts';

/** A bootstrap as JSON, without `admin`, which the test support adds. */
export type Bootstrap = Readonly<Record<string, unknown>>;

export interface EnvoyOptions {
  /** `--service-node`; `test` by default. */
  readonly node?: string;
  readonly logLevel?: 'error' | 'warning' | 'info' | 'debug' | 'trace';
  readonly extraArguments?: readonly string[];
  /** Worker threads; 1 by default. */
  readonly concurrency?: number;
  /** Milliseconds until it must say LIVE; 20,000 by default. */
  readonly readyTimeoutMs?: number;
  /** Command that Envoy is started through, e.g. `['ip', 'netns', 'exec', 'name']`. Admin must be reachable all the same. */
  readonly through?: readonly string[];
  /** False: return as soon as the admin interface answers, for an Envoy that waits for a control plane. */
  readonly waitUntilLive?: boolean;
}

export interface RunningEnvoy {
  readonly adminPort: number;
  readonly pid: number;
  /** GET (or POST) on the admin interface; rejects on a status other than 200. */
  admin(path: string, method?: 'GET' | 'POST'): Promise<string>;
  /** Value of a counter or gauge, 0 when it does not exist. */
  stat(name: string): Promise<number>;
  /** What it has logged so far. */
  log(): string;
  /** What its access logs have written so far. */
  output(): string;
  /** Ends the process and removes its files. Safe to call twice. */
  stop(): Promise<void>;
}

/** Starts Envoy with `bootstrap` and waits until it is live, or throws with the end of its log. */
export async function startEnvoy(bootstrap: Bootstrap, options: EnvoyOptions = {}): Promise<RunningEnvoy> {
  const binary = await ensureEnvoy();
  const directory = await mkdtemp(join(tmpdir(), 'osm-envoy-'));
  const adminPort = await freePort();
  const config = join(directory, 'bootstrap.json');
  await writeFile(config, JSON.stringify({ ...bootstrap, admin: { address: loopback(adminPort) } }));
  const [command = binary, ...rest] = [
    ...(options.through ?? []),
    binary,
    ...['--config-path', config, '--service-cluster', 'test', '--service-node', options.node ?? 'test'],
    ...['--log-level', options.logLevel ?? 'warning', '--disable-hot-restart'],
    ...['--concurrency', String(options.concurrency ?? 1)],
    ...['--drain-time-s', '5', '--drain-strategy', 'immediate', '--file-flush-interval-msec', '100'],
    ...(options.extraArguments ?? []),
  ];
  const child = spawn(command, rest, { stdio: ['ignore', 'pipe', 'pipe'] });
  let log = '';
  let output = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    log += text;
  });
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });
  const ended = new Promise<void>((resolve) => {
    child.once('exit', () => resolve());
    child.once('error', (error) => {
      log += `${error.message}\n`;
      resolve();
    });
  });
  const admin = async (path: string, method: 'GET' | 'POST' = 'GET'): Promise<string> => {
    const answer = await fetch(`http://127.0.0.1:${adminPort}${path}`, { method });
    const body = await answer.text();
    if (answer.status !== 200) throw new Error(`Envoy's admin interface answered ${answer.status} to ${path}: ${body}`);
    return body;
  };
  const envoy: RunningEnvoy = {
    adminPort,
    pid: child.pid ?? -1,
    admin,
    stat: async (name) => {
      const found = /: (\d+)$/m.exec(await admin(`/stats?filter=^${encodeURIComponent(escapeRegex(name))}$`));
      return Number(found?.[1] ?? 0);
    },
    log: () => log,
    output: () => output,
    stop: async () => {
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
      await ended;
      await rm(directory, { recursive: true, force: true });
    },
  };
  try {
    const wanted = options.waitUntilLive === false ? '/server_info' : '/ready';
    await answers(() => admin(wanted), child, options.readyTimeoutMs ?? 20_000);
    return envoy;
  } catch (error) {
    await envoy.stop();
    throw new Error(`Envoy did not become ready: ${String(error)}\n${lastLines(log, 30)}`, { cause: error });
  }
}

/** What `envoy --mode validate` says. It does not look into dynamic resources: pass static ones. */
export async function validate(bootstrap: Bootstrap): Promise<{ readonly valid: boolean; readonly output: string }> {
  const binary = await ensureEnvoy();
  const directory = await mkdtemp(join(tmpdir(), 'osm-envoy-'));
  try {
    const config = join(directory, 'bootstrap.json');
    await writeFile(config, JSON.stringify(bootstrap));
    const args = ['--mode', 'validate', '--config-path', config, '--log-level', 'error'];
    const node = ['--service-cluster', 'test', '--service-node', 'test'];
    const { code, stdout, stderr } = await run(binary, [...args, ...node], { timeoutMs: 30_000 });
    return { valid: code === 0, output: stdout + stderr };
  } finally {
    await rm(directory, { recursive: true });
  }
}

/** A socket address of Envoy's configuration on 127.0.0.1. */
export function loopback(port: number): Bootstrap {
  return { socket_address: { address: '127.0.0.1', port_value: port } };
}

/** A port that nothing listens on right now. */
export function freePort(address = '127.0.0.1'): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, address, () => {
      const bound = server.address();
      const port = typeof bound === 'object' && bound !== null ? bound.port : 0;
      server.close(() => resolve(port));
    });
  });
}

async function answers(ask: () => Promise<unknown>, child: ChildProcess, timeoutMs: number): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    try {
      await ask();
      return;
    } catch (error) {
      if (child.exitCode !== null || child.signalCode !== null) throw new Error('it exited', { cause: error });
      if (Date.now() > deadline) throw error;
    }
    // Polling is all that the admin interface offers; the deadline above decides.
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
