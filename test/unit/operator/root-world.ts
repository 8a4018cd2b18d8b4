/**
 * A mesh in memory for the rotation of the workload root: replicas of the controller that look at the Secret late, sidecars that
 * acknowledge late, lose their stream and come back elsewhere, reports that lag, and an operator that may be away. The Secret,
 * its roots and the steps are the real ones. A replica here is bolder than the real one: it signs by what the Secret says as soon as
 * it sees it, and takes a root away as soon as its own sidecars do without, so that nothing but the operator's order keeps peace.
 */
import type { ReplicaReport } from '#certificates/replica-report.ts';
import type { KubeObject, KubernetesClient } from '#kubernetes/types.ts';
import { createAuthorities } from '#operator/authorities.ts';
import { readWorkloadRoot } from '#operator/certificate-secrets.ts';
import { OwnWrites } from '#operator/own-writes.ts';
import type { ManagedObject, Observed, ObservedRootCertificate } from '#operator/plan/observed.ts';
import type { ConditionValue } from '#operator/plan/status.ts';
import { rootStep, type RootRotation, rootRotationOf, type RotationSettings } from '#operator/plan/root-rotation.ts';
import { rootVerdict } from '#operator/plan/root-status.ts';
import { observed, valid } from './fixtures.ts';
import { mergePatched, type Nulls } from './rotation-world.ts';

export const second = 1000;
export const minute = 60 * second;
const ref = 'osm-ca-bundle';

/** Longer than any of these takes in a mesh that works. */
const longestLook = 15 * second;
const longestReconnect = 30 * second;
const longestReport = 10 * second;
/** An operator that has not looked for longer begins to count anew. */
const longestBreak = 40 * second;

export interface Sidecar {
  readonly name: string;
  /** What it trusts, and the root that its certificate leads to. */
  trust: readonly string[];
  certificate: string;
  /** Undefined: it has no stream, since then. */
  replica: Replica | undefined;
  lostAt: number;
  /** Acknowledges nothing. */
  stuck: boolean;
}

export interface Replica {
  readonly pod: string;
  startedAt: number;
  given: readonly string[];
  signing: string;
  lookedAt: number;
  report: ReplicaReport | undefined;
  reportedAt: number;
  /** Does not report any more. */
  silent: boolean;
  /** Sees the Secret no more. */
  blind: boolean;
}

export class RootWorld {
  now = Date.parse('2026-06-01T12:00:00Z');
  settings: RotationSettings;
  request: string | undefined;
  rootCertificates: ObservedRootCertificate[] = [];
  secret: ManagedObject | undefined;
  readonly replicas: Replica[] = [];
  readonly sidecars: Sidecar[] = [];
  readonly done: string[] = [];
  #version = 0;
  #followedSince = 0;
  #followedUntil = 0;
  readonly #authorities = createAuthorities({
    client: this.#client(),
    namespace: 'osm-system',
    writes: new OwnWrites(),
    stored: () => this.secret,
    now: () => this.now,
  });

  static async running(): Promise<RootWorld> {
    const world = new RootWorld();
    await world.#authorities.make({ kind: 'make-ca', ca: 'workload', reason: 'authority-missing' });
    for (const pod of ['osm-controller-a', 'osm-controller-b']) {
      const replica = {
        pod,
        startedAt: 0,
        given: [],
        signing: '',
        lookedAt: 0,
        report: undefined,
        reportedAt: 0,
        silent: false,
        blind: false,
      };
      world.replicas.push(replica);
      world.restart(replica);
      replica.startedAt = 0;
    }
    for (const [index, name] of ['shop/one', 'shop/two', 'shop/three'].entries()) {
      const sidecar = { name, trust: [], certificate: '', replica: undefined, lostAt: 0, stuck: false };
      world.sidecars.push(sidecar);
      world.connect(sidecar, index);
      world.sync(sidecar);
    }
    for (const replica of world.replicas) world.tell(replica);
    return world;
  }

  observe(): Observed {
    return observed({
      now: this.now,
      followedSince: this.#followedSince,
      workloadRoot: this.#root(),
      controllers: this.replicas.map(({ pod, startedAt, report, silent }) => ({
        ...{ pod, startedAt },
        report: silent ? undefined : report,
      })),
      rootRequest: this.request,
      rootCertificates: this.rootCertificates,
    });
  }

  get root(): Extract<Observed['workloadRoot'], { kind: 'present' }> {
    const root = this.#root();
    if (root.kind !== 'present') throw new Error('there is no workload root');
    return root;
  }

  get signing(): string {
    return this.root.authority.fingerprint;
  }

  rotation(): RootRotation {
    return rootRotationOf(this.observe());
  }

  verdict(): Omit<ConditionValue, 'type'> {
    const rotation = this.settings === undefined ? {} : { rotation: this.settings };
    return rootVerdict(valid({ certificate: rotation }), this.observe());
  }

  /** One pass of the operator; false when nothing was due. */
  async pass(): Promise<boolean> {
    if (this.now - this.#followedUntil > longestBreak || this.now < this.#followedUntil) this.#followedSince = this.now;
    this.#followedUntil = this.now;
    const step = rootStep(this.settings, this.observe());
    if (step?.kind !== 'rotate-root') return false;
    this.done.push(step.reason);
    return this.#authorities.rotateRoot(step);
  }

  async settle(after: () => void = () => {}): Promise<void> {
    for (let passes = 0; passes < 10; passes++) {
      if (!(await this.pass())) return;
      after();
    }
    throw new Error(`the operator does not come to rest: ${this.done.slice(-10).join(', ')}`);
  }

  /** The mesh and the operator work for that long; `check` after each thing that happens. */
  async work(ms: number, check: () => void = () => {}): Promise<void> {
    const end = this.now + ms;
    await this.settle(check);
    while (this.now < end) {
      this.advance(Math.min(5 * second, end - this.now), check);
      await this.settle(check);
    }
  }

  advance(ms: number, check: () => void = () => {}): void {
    this.now += ms;
    const late = (since: number, longest: number) => this.now - since >= longest;
    for (const replica of this.replicas) if (!replica.blind && late(replica.lookedAt, longestLook)) this.look(replica);
    check();
    for (const [index, sidecar] of this.sidecars.entries()) {
      if (sidecar.replica === undefined && late(sidecar.lostAt, longestReconnect)) this.connect(sidecar, index);
      if (ms >= second) this.sync(sidecar);
      check();
    }
    for (const replica of this.replicas) if (late(replica.reportedAt, longestReport)) this.tell(replica);
  }

  /** A replica sees the Secret as it is now. */
  look(replica: Replica): void {
    const { walk } = this.root;
    const target = [walk.signing, ...(walk.standby === undefined ? [] : [walk.standby.fingerprint])];
    replica.signing = walk.signing;
    const own = this.#of(replica);
    const isNarrow = own.every(({ certificate }) => target.includes(certificate));
    replica.given = isNarrow ? target : [...new Set([...replica.given, ...target])];
    replica.lookedAt = this.now;
  }

  restart(replica: Replica): void {
    for (const sidecar of this.#of(replica)) this.disconnect(sidecar);
    replica.startedAt = this.now;
    replica.given = [];
    replica.report = undefined;
    this.look(replica);
    this.tell(replica);
  }

  disconnect(sidecar: Sidecar): void {
    if (sidecar.replica === undefined) return;
    sidecar.replica = undefined;
    sidecar.lostAt = this.now;
  }

  connect(sidecar: Sidecar, index: number): void {
    sidecar.replica ??= this.replicas[index % this.replicas.length];
  }

  /** A sidecar takes up what its replica has for it. */
  sync(sidecar: Sidecar): void {
    if (sidecar.replica === undefined || sidecar.stuck) return;
    sidecar.trust = sidecar.replica.given;
    sidecar.certificate = sidecar.replica.signing;
  }

  tell(replica: Replica): void {
    const own = this.#of(replica);
    const { given, signing } = replica;
    const has = (sidecar: Sidecar, root: string) => sidecar.trust.includes(root);
    const behind = own.filter(
      (sidecar) => sidecar.certificate !== signing || given.some((root) => !has(sidecar, root)),
    );
    replica.reportedAt = this.now;
    replica.report = {
      ...{ given, signing, signer: '', trustDomains: {} },
      acknowledged: given.filter((root) => own.every((sidecar) => has(sidecar, root))),
      // As if whoever acknowledges nothing were forgotten at once.
      needed: [...new Set(own.filter(({ stuck }) => !stuck).map(({ certificate }) => certificate))],
      sidecars: own.length,
      behind: behind.length,
      behindNamed: behind.map(({ name }) => name),
    };
  }

  /** Who would refuse whom now; empty in a mesh that works. */
  distrust(): string[] {
    const ready = this.sidecars.filter(({ certificate }) => certificate !== '');
    return ready.flatMap((one) =>
      ready
        .filter(({ certificate }) => !one.trust.includes(certificate))
        .map((other) => `${one.name} does not trust ${other.name}`),
    );
  }

  /** Somebody else writes the Secret. */
  replace(data: Readonly<Record<string, string>>): void {
    if (this.secret === undefined) throw new Error('there is no Secret');
    this.#store({ ...this.secret, data });
  }

  /** Parsed once a version: it is looked at after each thing that happens. */
  #root(): Observed['workloadRoot'] {
    if (this.#read?.secret !== this.secret) {
      this.#read = { secret: this.secret, root: readWorkloadRoot(this.secret, ref) };
    }
    return this.#read?.root ?? { kind: 'absent' };
  }
  #read: { readonly secret: ManagedObject | undefined; readonly root: Observed['workloadRoot'] } | undefined;

  #of(replica: Replica): Sidecar[] {
    return this.sidecars.filter((sidecar) => sidecar.replica === replica);
  }

  #store(object: ManagedObject): ManagedObject {
    this.#version += 1;
    this.secret = { ...object, metadata: { ...object.metadata, resourceVersion: String(this.#version) } };
    return this.secret;
  }

  #client(): KubernetesClient {
    const client = {
      create: async (_kind: unknown, object: KubeObject) => this.#store(object as ManagedObject),
      request: async (_method: string, _path: string, body: unknown) => {
        const patch = body as { metadata: { annotations: Nulls; resourceVersion: string }; data: Nulls };
        const before = this.secret;
        if (before?.metadata.resourceVersion !== patch.metadata.resourceVersion) throw new Error('409');
        return this.#store(mergePatched(before, patch));
      },
    };
    return client as unknown as KubernetesClient;
  }
}
