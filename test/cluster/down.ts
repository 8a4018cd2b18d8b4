import { existsSync, lstatSync, readFileSync, readdirSync, readlinkSync } from 'node:fs';
import { rm, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { clusterProcesses, removeCgroups } from './cgroups.ts';
import type { Component } from './components.ts';
import type { Layout } from './layout.ts';
import { networkExists, networkProcesses } from './network.ts';
import { must, run } from './process.ts';
import { endProcess, signal, stateOf } from './supervisor.ts';

/** The kubelet links every pod's log here too, and the folder cannot be set. */
const CONTAINER_LOGS = '/var/log/containers';

/** Takes a cluster down: see Cluster.down. The caller holds the cluster's lock. */
export async function bringDown(layout: Layout, say: (line: string) => void): Promise<void> {
  // Guests first: what was started with `exec` holds the namespace, and would run on without a cluster.
  for (const pid of networkProcesses(layout).filter((id) => !clusterProcesses(layout).includes(id)))
    await endProcess(pid, 3000);
  await releaseRuntime(layout);
  await removeLogLinks(layout);
  await rm(layout.state, { recursive: true, force: true });
  say(`cluster ${layout.name} is down`);
}

/**
 * Ends every process of the cluster and takes away its mounts, network namespace and cgroups; its data stays. Goes by the
 * cluster's cgroup and folders, not by what was recorded, so it finds what a killed component left.
 */
export async function releaseRuntime(layout: Layout): Promise<void> {
  // A stopped kubelet and containerd start nothing anew; etcd is asked to end, so that its data is whole.
  for (const component of ['kubelet', 'containerd'] satisfies Component[]) {
    const state = stateOf(component, layout);
    if (state.running) signal(state.pid, 'SIGKILL');
  }
  const etcd = stateOf('etcd', layout);
  if (etcd.running) await endProcess(etcd.pid, 3000);
  await killAll(layout);
  await unmountAll(layout);
  if (networkExists(layout)) await must('ip', ['netns', 'delete', layout.netnsName]);
  else await rm(layout.netns, { force: true });
  await removeAllCgroups(layout);
  for (const socket of shimSockets(layout)) await rm(socket, { force: true });
  await rm(layout.run, { recursive: true, force: true });
}

/** Sockets of the cluster's containerd shims, which lie in a folder that all containerds of a machine share. */
export function shimSockets(layout: Layout): string[] {
  const tasks = join(layout.run, 'containerd', 'io.containerd.runtime.v2.task', 'k8s.io');
  if (!existsSync(tasks)) return [];
  const addresses = readdirSync(tasks).flatMap((id) => {
    const file = join(tasks, id, 'address');
    return existsSync(file)
      ? [
          readFileSync(file, 'utf8')
            .trim()
            .replace(/^unix:\/\//u, ''),
        ]
      : [];
  });
  return [...new Set(addresses)];
}

async function killAll(layout: Layout): Promise<void> {
  const deadline = Date.now() + 20_000;
  for (let left = clusterProcesses(layout); left.length > 0; left = clusterProcesses(layout)) {
    for (const pid of left) signal(pid, 'SIGKILL');
    if (Date.now() > deadline) throw new Error(`processes of cluster ${layout.name} do not end: ${left.join(' ')}`);
    await delay(30);
  }
}

async function removeAllCgroups(layout: Layout): Promise<void> {
  const deadline = Date.now() + 10_000;
  for (let left = removeCgroups(layout); left.length > 0; left = removeCgroups(layout)) {
    if (Date.now() > deadline)
      throw new Error(`cgroups of cluster ${layout.name} cannot be removed: ${left.join(' ')}`);
    await delay(30);
  }
}

/** Mount points below the cluster's folders, deepest first. */
export function clusterMounts(layout: Layout, mounts: string = readFileSync('/proc/self/mounts', 'utf8')): string[] {
  return mounts
    .split('\n')
    .flatMap((line) => line.split(' ')[1] ?? [])
    .map((path) =>
      path.replaceAll(/\\([0-7]{3})/gu, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8))),
    )
    .filter((path) => path.startsWith(`${layout.state}/`) || path.startsWith(`${layout.run}/`))
    .toSorted((a, b) => b.length - a.length);
}

async function unmountAll(layout: Layout): Promise<void> {
  // A mount may lie over another at the same path, so what is left is asked again.
  for (let round = 0; round < 5; round += 1) {
    const mounts = clusterMounts(layout);
    if (mounts.length === 0) return;
    // In few calls: a cluster has hundreds.
    for (let at = 0; at < mounts.length; at += 100) await run('umount', ['--lazy', ...mounts.slice(at, at + 100)]);
  }
  const left = clusterMounts(layout);
  if (left.length > 0) throw new Error(`mounts of cluster ${layout.name} cannot be taken away: ${left.join(' ')}`);
}

/** Removes the kubelet's links to this cluster's pod logs. */
async function removeLogLinks(layout: Layout): Promise<void> {
  if (!existsSync(CONTAINER_LOGS)) return;
  for (const entry of readdirSync(CONTAINER_LOGS)) {
    const path = join(CONTAINER_LOGS, entry);
    if (lstatSync(path).isSymbolicLink() && readlinkSync(path).startsWith(`${layout.podLogs}/`)) await unlink(path);
  }
}
