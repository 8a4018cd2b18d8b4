import { strict as assert } from 'node:assert';
import { clusterMounts } from '#test/cluster/down.ts';
import { everyHierarchy, hierarchies } from '#test/cluster/cgroups.ts';
import { componentNamed } from '#test/cluster/components.ts';
import { layoutOf } from '#test/cluster/layout.ts';

describe('the layout of a test cluster', () => {
  for (const name of ['osm', 'a', 'b-2', 'x'.repeat(24)]) {
    it(`takes the name ${name}`, () => assert.equal(layoutOf(name).name, name));
  }
  for (const name of ['', '-a', 'a-', 'A', 'a_b', 'a/b', '../a', 'x'.repeat(25)]) {
    it(`refuses the name "${name}"`, () => assert.throws(() => layoutOf(name), /cannot name a cluster/u));
  }

  it('shares no path between two names', () => {
    const { name: _one, ...one } = layoutOf('a');
    const { name: _other, ...other } = layoutOf('ab');
    const paths = new Set(Object.values(one));
    assert.deepEqual(
      Object.values(other).filter((path) => paths.has(path)),
      [],
    );
  });

  it('keeps the socket short enough for the longest name', () => {
    assert.ok(layoutOf('x'.repeat(24)).containerdSocket.length < 108);
  });
});

describe('the mounts of a test cluster', () => {
  const { state, run } = layoutOf('a');

  it('are those below its folders, the deepest first, with escapes undone', () => {
    const table = [
      `tmpfs ${state}/kubelet/pods/1/volumes tmpfs rw 0 0`,
      `overlay ${run}/c/rootfs overlay rw 0 0`,
      `tmpfs ${state}/kubelet/pods/1/volumes/with\\040space tmpfs rw 0 0`,
    ].join('\n');
    assert.deepEqual(clusterMounts(layoutOf('a'), table), [
      `${state}/kubelet/pods/1/volumes/with space`,
      `${state}/kubelet/pods/1/volumes`,
      `${run}/c/rootfs`,
    ]);
  });

  it('are never those of a cluster whose name begins alike', () => {
    const table = `tmpfs ${state}b/kubelet tmpfs rw 0 0\ntmpfs ${run}-2/x tmpfs rw 0 0`;
    assert.deepEqual(clusterMounts(layoutOf('a'), table), []);
  });
});

describe('the cgroup hierarchies', () => {
  const version1 = 'cgroup /sys/fs/cgroup/cpu cgroup rw 0 0\ncgroup /sys/fs/cgroup/pids cgroup rw 0 0';
  const version2 = 'cgroup2 /sys/fs/cgroup cgroup2 rw 0 0';
  const cases = [
    ['version 1', version1, ['/sys/fs/cgroup/cpu', '/sys/fs/cgroup/pids']],
    ['version 2', version2, ['/sys/fs/cgroup']],
    ['both', `${version2}\n${version1}`, ['/sys/fs/cgroup/cpu', '/sys/fs/cgroup/pids']],
    ['none', 'proc /proc proc rw 0 0', []],
  ] as const;
  for (const [what, mounts, expected] of cases) {
    it(`of a machine with ${what}`, () => assert.deepEqual(hierarchies(mounts), expected));
  }

  it('all count where a cluster is taken away: runc uses version 2 beside version 1 too', () => {
    assert.deepEqual(everyHierarchy(`${version1}\ncgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0`), [
      '/sys/fs/cgroup/cpu',
      '/sys/fs/cgroup/pids',
      '/sys/fs/cgroup/unified',
    ]);
  });
});

describe('a component', () => {
  it('is known by its name', () => assert.equal(componentNamed('kubelet'), 'kubelet'));
  it('with another name is refused with the list of names', () => {
    assert.throws(() => componentNamed('kube-apiserver'), /no component is named "kube-apiserver".*etcd, apiserver/u);
  });
});
