import { existsSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { ADDRESSES, type Layout } from './layout.ts';
import { must } from './process.ts';

/** Makes the cluster's network namespace with the node's addresses in it. Changes nothing that is right already. */
export async function makeNetwork(layout: Layout): Promise<void> {
  if (!networkExists(layout)) {
    rmSync(layout.netns, { force: true });
    await must('ip', ['netns', 'add', layout.netnsName]);
  }
  const [node4, node6] = ADDRESSES.node;
  // Not `ip netns exec`: that remounts /sys and hides the cgroups.
  await must('nsenter', [
    `--net=${layout.netns}`,
    'sh',
    '-ec',
    `
    [ -e /proc/sys/net/bridge ] || modprobe br_netfilter
    ip link set lo up
    # A bridge carries the node's addresses: the API server must advertise one that pods can reach, which loopback is not.
    ip link show node0 >/dev/null 2>&1 || ip link add node0 type bridge
    echo 0 >/proc/sys/net/ipv6/conf/node0/accept_dad
    ip addr replace ${node4}/24 dev node0
    ip addr replace ${node6}/64 dev node0 nodad
    ip link set node0 up
    # A connection to a service address needs some route before kube-proxy's rules rewrite it.
    ip route replace default dev node0
    ip -6 route replace default dev node0
    echo 1 >/proc/sys/net/ipv4/ip_forward
    echo 1 >/proc/sys/net/ipv6/conf/all/forwarding
    echo 1 >/proc/sys/net/ipv4/conf/all/route_localnet
    # A pod that reaches a pod of its own node through a service crosses only the bridge: its packets must see kube-proxy's rules.
    echo 1 >/proc/sys/net/bridge/bridge-nf-call-iptables
    echo 1 >/proc/sys/net/bridge/bridge-nf-call-ip6tables
    `,
  ]);
}

/** Whether the cluster's network namespace is there; a plain file of that name is what a reboot leaves, and is not one. */
export function networkExists(layout: Layout): boolean {
  return existsSync(layout.netns) && readFileSync('/proc/self/mounts', 'utf8').includes(` ${layout.netns} nsfs `);
}

/** Whether a process is in the cluster's network namespace. */
export function inNetwork(pid: number | 'self', layout: Layout): boolean {
  try {
    const [theirs, ours] = [statSync(`/proc/${pid}/ns/net`), statSync(layout.netns)];
    return theirs.ino === ours.ino && theirs.dev === ours.dev;
  } catch {
    return false; // the process or the namespace is gone
  }
}

/** Ids of all processes in the cluster's network namespace, but for this one and those that started it. */
export function networkProcesses(layout: Layout): number[] {
  const own = new Set<number>();
  for (let pid = process.pid; pid > 1 && !own.has(pid); pid = parentOf(pid)) own.add(pid);
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/u.test(entry))
    .map(Number)
    .filter((pid) => !own.has(pid) && inNetwork(pid, layout));
}

/**
 * Raises the machine's inotify limits where they are too low, and returns what it raised: Envoy takes about four
 * instances a sidecar, and many systems allow 128 a user.
 */
export function raiseInotifyLimits(): string[] {
  return [['max_user_instances', 1024, 8192] as const, ['max_user_watches', 65_536, 524_288] as const].flatMap(
    ([name, enough, wanted]) => {
      const path = `/proc/sys/fs/inotify/${name}`;
      const now = Number(readFileSync(path, 'utf8'));
      if (now >= enough) return [];
      writeFileSync(path, String(wanted));
      return [`fs.inotify.${name} ${now} → ${wanted}`];
    },
  );
}

function parentOf(pid: number): number {
  try {
    return Number(/^PPid:\s+(\d+)/mu.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0);
  } catch {
    return 0; // gone meanwhile: nobody's parent
  }
}
