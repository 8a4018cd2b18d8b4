import { existsSync, mkdirSync, readFileSync, readdirSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Layout } from './layout.ts';

/** Mount points of the cgroup hierarchies that containers use: each version 1 controller, or the one of version 2. */
export function hierarchies(mounts: string = readFileSync('/proc/mounts', 'utf8')): string[] {
  const lines = mounts.split('\n').map((line) => line.split(' '));
  const ofType = (type: string) => lines.flatMap(([, at, kind]) => (kind === type && at !== undefined ? [at] : []));
  const version1 = ofType('cgroup');
  // A hybrid machine has both; its controllers are then in version 1, and version 2 is for systemd alone.
  return version1.length > 0 ? [...new Set(version1)] : ofType('cgroup2').slice(0, 1);
}

/**
 * All mount points of cgroup hierarchies. On a hybrid machine runc makes each container's cgroup in that of version 2 too,
 * so whoever looks for what a cluster has, or takes it away, has to look there.
 */
export function everyHierarchy(mounts: string = readFileSync('/proc/mounts', 'utf8')): string[] {
  const lines = mounts.split('\n').map((line) => line.split(' '));
  return [
    ...new Set(
      lines.flatMap(([, at, kind]) => ((kind === 'cgroup' || kind === 'cgroup2') && at !== undefined ? [at] : [])),
    ),
  ];
}

/** The hierarchy in which the cluster's own programs are kept together, so that none is lost however it was left. */
function tracking(): string {
  const all = hierarchies();
  const chosen = all.find((at) => at.endsWith('/pids')) ?? all[0];
  if (chosen === undefined) throw new Error('no cgroup hierarchy is mounted: mount /sys/fs/cgroup first');
  return chosen;
}

/**
 * Makes the cluster's cgroup in each hierarchy. The kubelet demands its `cgroupRoot` before it starts, and without one
 * of its own it would take another cluster's pods for orphans and kill them.
 */
export function makeCgroups(layout: Layout): void {
  for (const hierarchy of hierarchies()) {
    const path = join(hierarchy, layout.cgroup);
    mkdirSync(path, { recursive: true });
    // A cpuset takes no process before it has processors and memory nodes, and inherits neither in version 1.
    for (const file of ['cpuset.cpus', 'cpuset.mems']) {
      const target = join(path, file);
      if (!existsSync(target) || existsSync(join(hierarchy, 'cgroup.controllers'))) continue;
      if (readFileSync(target, 'utf8').trim() === '') writeFileSync(target, readFileSync(join(hierarchy, file)));
    }
    const available = join(hierarchy, 'cgroup.controllers');
    if (!existsSync(available)) continue;
    const enable = readFileSync(available, 'utf8').trim().split(' ').filter(Boolean);
    for (const at of [hierarchy, path]) {
      writeFileSync(join(at, 'cgroup.subtree_control'), enable.map((controller) => `+${controller}`).join(' '));
    }
  }
}

/** The cgroup of one of the cluster's programs, made if need be; writing a process id to its `cgroup.procs` enters it. */
export function programCgroup(layout: Layout, program: string): string {
  const path = join(tracking(), layout.cgroup, 'system', program);
  mkdirSync(path, { recursive: true });
  return path;
}

/** Whether a process runs as this program of this cluster. A process id alone says little: ids are used again. */
export function runsAs(pid: number, layout: Layout, program: string): boolean {
  try {
    return readFileSync(`/proc/${pid}/cgroup`, 'utf8').includes(`:/${layout.cgroup}/system/${program}\n`);
  } catch {
    return false; // the process is gone
  }
}

/** Ids of all processes of the cluster, pods' included: whatever is in its cgroup in any hierarchy. */
export function clusterProcesses(layout: Layout): number[] {
  const found = new Set<number>();
  for (const hierarchy of everyHierarchy()) {
    for (const path of tree(join(hierarchy, layout.cgroup))) for (const pid of processesIn(path)) found.add(pid);
  }
  return [...found].toSorted((a, b) => a - b);
}

/** Removes the cluster's cgroups. Returns the paths that could not be removed, because processes are in them. */
export function removeCgroups(layout: Layout): string[] {
  const left: string[] = [];
  for (const hierarchy of everyHierarchy()) {
    for (const path of tree(join(hierarchy, layout.cgroup)).toReversed()) {
      try {
        rmdirSync(path);
      } catch {
        if (existsSync(path)) left.push(path);
      }
    }
  }
  return left;
}

/** A cgroup and all below it, parents first. */
function tree(path: string): string[] {
  if (!existsSync(path)) return [];
  let children: string[];
  try {
    children = readdirSync(path, { withFileTypes: true }).flatMap((entry) => (entry.isDirectory() ? [entry.name] : []));
  } catch {
    return []; // removed meanwhile
  }
  return [path, ...children.flatMap((child) => tree(join(path, child)))];
}

function processesIn(path: string): number[] {
  try {
    return readFileSync(join(path, 'cgroup.procs'), 'utf8').split('\n').filter(Boolean).map(Number);
  } catch {
    return []; // removed meanwhile
  }
}
