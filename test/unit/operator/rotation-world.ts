/**
 * A cluster in memory for the rotation of the control-plane CA: objects, kubelets that bring them to replicas and sidecars late, and
 * an operator that may die after any step. Secrets, certificates and steps are the real ones; only the API server is not.
 */
import { X509Certificate } from 'node:crypto';
import { createAuthority } from '#certificates/ca.ts';
import type { KubeObject, KubernetesClient } from '#kubernetes/types.ts';
import { createAuthorities } from '#operator/authorities.ts';
import { authorityData } from '#operator/ca-secret.ts';
import {
  decode,
  readAuthority,
  readServingCertificate,
  readTrusted,
  signerAmong,
} from '#operator/certificate-secrets.ts';
import { OwnWrites } from '#operator/own-writes.ts';
import { components, type ManagedObject, type Observed, refOf } from '#operator/plan/observed.ts';
import { plan } from '#operator/plan/plan.ts';
import type { Plan, Step } from '#operator/plan/plan-types.ts';
import { type CaRotation, rotationOf } from '#operator/plan/rotation.ts';
import { accounts, namespace, observed, rolledOut, valid } from './fixtures.ts';

export const second = 1000;
export const minute = 60 * second;
export const hour = 60 * minute;

/** Longer than any kubelet takes to bring a changed Secret or ConfigMap to a pod that runs. */
const longestSync = 2 * minute;

interface Mount {
  /** What the pod's files hold. */
  content: string;
  /** Since when they are older than the object; undefined: they are not. */
  staleSince: number | undefined;
}

const caRef = 'Secret/osm-system/osm-control-plane-ca';
const mesh = valid();

export class World {
  now = Date.parse('2026-06-01T12:00:00Z');
  request: string | undefined;
  readonly namespaces = ['shop'];
  readonly objects = new Map<string, ManagedObject>();
  /** Served certificate by `<component>-<number>`, trusted roots by namespace. */
  readonly replicas = new Map<string, Mount>();
  readonly sidecars = new Map<string, Mount>();
  readonly done: string[] = [];
  #version = 0;
  readonly #authorities = createAuthorities({
    client: this.#client(),
    namespace: 'osm-system',
    writes: new OwnWrites(),
    stored: (ref) => this.objects.get(ref),
    now: () => this.now,
  });

  /** Installed, settled, and every kubelet up to date. */
  static async running(): Promise<World> {
    const world = new World();
    for (const account of accounts) world.#store(account);
    await world.settle();
    world.syncAll();
    world.done.length = 0;
    return world;
  }

  observe(): Observed {
    const ca = this.#object(caRef);
    const tls = components.map((component) => this.#object(`Secret/osm-system/${component}-tls`));
    const managed = [...this.objects.values()].filter((object) => refOf(object) !== caRef);
    const controlPlaneCa = readAuthority(ca, 'osm-control-plane-ca');
    const switched = controlPlaneCa.kind === 'present' && controlPlaneCa.authority.rotation?.switchedAt !== undefined;
    return observed({
      now: this.now,
      namespaces: this.namespaces.map((name) => namespace(name)),
      managed,
      controlPlaneCa,
      serving: { 'osm-injector': readServingCertificate(tls[0]), 'osm-controller': readServingCertificate(tls[1]) },
      trusted: readTrusted(managed, tls, this.now),
      rotationRequest: this.request,
      replicas: switched ? this.#answers(controlPlaneCa.authority.rootsPem) : undefined,
    });
  }

  rotation(): CaRotation {
    const seen = this.observe();
    if (seen.controlPlaneCa.kind !== 'present') throw new Error('there is no control-plane CA');
    return rotationOf(seen.controlPlaneCa.authority, seen);
  }

  /** Replicas that hold up the end of a rotation; undefined while it is not there. */
  behind(): readonly string[] | undefined {
    const rotation = this.rotation();
    return rotation.step === 'retiring' ? rotation.behind : undefined;
  }

  /** Certificates in `ca.crt` and `former.crt`. */
  get roots(): number {
    const { controlPlaneCa } = this.observe();
    return controlPlaneCa.kind === 'present'
      ? controlPlaneCa.authority.rootsPem.split('BEGIN CERTIFICATE').length - 1
      : 0;
  }

  get caSecret(): ManagedObject {
    const secret = this.#object(caRef);
    if (secret === undefined) throw new Error('there is no control-plane CA');
    return secret;
  }

  /** Carries out a plan, or the first `steps` of it: then the operator dies. `after` is called after each step. */
  async pass(after: () => void, steps = Number.POSITIVE_INFINITY): Promise<{ plan: Plan; changes: number }> {
    const planned = plan(mesh, this.observe());
    let changes = 0;
    for (const step of planned.steps.slice(0, steps)) {
      if (await this.#carryOut(step)) {
        changes += 1;
        if (step.kind === 'rotate-ca' || step.kind === 'issue' || step.kind === 'make-ca') {
          this.done.push(step.kind === 'rotate-ca' ? step.move.kind : `${step.kind} ${step.reason}`);
        }
      }
      after();
    }
    return { plan: planned, changes };
  }

  /** Passes until one changes nothing. */
  async settle(after: () => void = () => {}): Promise<Plan> {
    for (let passes = 0; passes < 20; passes++) {
      const { plan: planned, changes } = await this.pass(after);
      if (changes === 0) return planned;
    }
    throw new Error(`the operator does not come to rest: ${this.done.slice(-10).join(', ')}`);
  }

  /** Time passes; kubelets that have been late for as long as they may be catch up. */
  advance(ms: number): void {
    this.now += ms;
    for (const mount of [...this.replicas.values(), ...this.sidecars.values()]) {
      if (mount.staleSince !== undefined && this.now - mount.staleSince >= longestSync) this.#sync(mount);
    }
  }

  syncAll(): void {
    for (const mount of [...this.replicas.values(), ...this.sidecars.values()]) this.#sync(mount);
  }

  syncOne(index: number): void {
    const mounts = [...this.replicas.values(), ...this.sidecars.values()];
    const mount = mounts[index % mounts.length];
    if (mount !== undefined) this.#sync(mount);
  }

  deleteCa(): void {
    this.objects.delete(caRef);
  }

  deleteWebhooks(): void {
    for (const ref of this.objects.keys()) if (ref.includes('WebhookConfiguration/')) this.objects.delete(ref);
  }

  /** A person puts another CA in place: into the Secret (`whole` false), or as the whole of it. */
  async replaceCa(whole: boolean, data?: Record<string, string>): Promise<void> {
    const before = this.#object(caRef);
    const authority = data ?? authorityData(await createAuthority({ now: this.now, commonName: 'of a user' }));
    const metadata = { name: 'osm-control-plane-ca', namespace: 'osm-system' };
    this.#store(
      whole || before === undefined
        ? { apiVersion: 'v1', kind: 'Secret', metadata, data: authority }
        : { ...before, data: { ...before.data, ...authority } },
    );
  }

  /** Who could not be reached by whom now; empty in a mesh that works. */
  distrust(): string[] {
    const webhook = [...this.objects.values()].find(({ kind }) => kind === 'MutatingWebhookConfiguration');
    const [entry] = (webhook?.['webhooks'] ?? []) as { clientConfig: { caBundle: string } }[];
    const bundle = entry && Buffer.from(entry.clientConfig.caBundle, 'base64').toString();
    return [...this.replicas].flatMap(([name, { content }]) => {
      if (name.startsWith('osm-controller')) {
        const sidecars = [...this.sidecars].filter(([, trust]) => !isTrusted(content, trust.content));
        return sidecars.map(([sidecar]) => `a sidecar of ${sidecar} does not trust ${name}`);
      }
      return bundle === undefined || isTrusted(content, bundle) ? [] : [`the API server does not trust ${name}`];
    });
  }

  #answers(rootsPem: string): Observed['replicas'] {
    return [...this.replicas].map(([pod, { content }]) => ({
      pod,
      component: pod.startsWith('osm-injector') ? ('osm-injector' as const) : ('osm-controller' as const),
      signer: signerAmong(new X509Certificate(content), rootsPem),
    }));
  }

  #object(ref: string): ManagedObject | undefined {
    return this.objects.get(ref);
  }

  async #carryOut(step: Step): Promise<boolean> {
    switch (step.kind) {
      case 'set-guard':
      case 'check':
        return false;
      case 'make-ca':
        return this.#authorities.make(step);
      case 'rotate-ca':
        return this.#authorities.rotate(step);
      case 'rotate-root':
        return this.#authorities.rotateRoot(step);
      case 'make-root':
        return this.#authorities.makeRoot(step.secret);
      case 'issue':
        return this.#authorities.issue(step);
      case 'apply':
        return this.#apply(step.object as ManagedObject);
      case 'delete':
        return this.objects.delete(refOf(step.object));
    }
  }

  #apply(object: ManagedObject): boolean {
    const before = this.#object(refOf(object));
    const content = ({ spec, data, webhooks }: ManagedObject) => JSON.stringify({ spec, data, webhooks });
    if (before !== undefined && content(before) === content(object)) return false;
    this.#store({ ...object, ...(object.kind === 'Deployment' ? rolledOut() : {}) });
    return true;
  }

  #store(object: ManagedObject): ManagedObject {
    this.#version += 1;
    const { metadata } = object;
    const uid = metadata.uid ?? `uid-${metadata.name}`;
    const stored = { ...object, metadata: { ...metadata, uid, generation: 1, resourceVersion: String(this.#version) } };
    this.objects.set(refOf(object), stored);
    for (const [component, mounts, names] of [
      ['osm-injector-tls', this.replicas, ['osm-injector-1', 'osm-injector-2']],
      ['osm-controller-tls', this.replicas, ['osm-controller-1', 'osm-controller-2']],
      ['osm-trust', this.sidecars, [metadata.namespace ?? '']],
    ] as const) {
      if (metadata.name !== component) continue;
      for (const name of names) {
        const mount = mounts.get(name);
        // A pod that starts sees the object as it is.
        if (mount === undefined) mounts.set(name, { content: this.#contentFor(name), staleSince: undefined });
        else mount.staleSince ??= this.now;
      }
    }
    return stored;
  }

  #sync(mount: Mount): void {
    const [name] = [...this.replicas, ...this.sidecars].find(([, each]) => each === mount) ?? [''];
    mount.content = this.#contentFor(name);
    mount.staleSince = undefined;
  }

  #contentFor(name: string): string {
    if (!/-\d$/.test(name)) return this.#object(`ConfigMap/${name}/osm-trust`)?.data?.['ca.crt'] ?? '';
    const secret = this.#object(`Secret/osm-system/${name.replace(/-\d$/, '')}-tls`);
    return secret === undefined ? '' : (decode(secret, 'tls.crt') ?? '');
  }

  /** What the real API server does with the three calls that are made of it. */
  #client(): KubernetesClient {
    const client = {
      create: async (_kind: unknown, object: KubeObject) => this.#store(object as ManagedObject),
      apply: async (_kind: unknown, object: KubeObject) => this.#store(object as ManagedObject),
      request: async (_method: string, _path: string, body: unknown) => {
        const patch = body as { metadata: { annotations: Nulls; resourceVersion: string }; data: Nulls };
        const before = this.caSecret;
        if (before.metadata.resourceVersion !== patch.metadata.resourceVersion) throw new Error('409');
        return this.#store(mergePatched(before, patch));
      },
    };
    return client as unknown as KubernetesClient;
  }
}

export type Nulls = Readonly<Record<string, string | null>>;

/** A Secret after a merge patch of its data and annotations. */
export function mergePatched(
  before: ManagedObject,
  patch: { readonly metadata: { readonly annotations: Nulls }; readonly data: Nulls },
): ManagedObject {
  const annotations = merged(before.metadata.annotations, patch.metadata.annotations);
  return { ...before, metadata: { ...before.metadata, annotations }, data: merged(before.data, patch.data) };
}

function merged(before: Record<string, string> = {}, patch: Nulls): Record<string, string> {
  return Object.fromEntries(
    Object.entries({ ...before, ...patch }).filter((entry): entry is [string, string] => entry[1] !== null),
  );
}

const known = new Map<string, boolean>();

function isTrusted(certificatePem: string, rootsPem: string): boolean {
  const key = `${certificatePem}|${rootsPem}`;
  const answer = known.get(key) ?? signerAmong(new X509Certificate(certificatePem), rootsPem) !== undefined;
  known.set(key, answer);
  return answer;
}
