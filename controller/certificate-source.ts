/** One provider in use: what it is made from, which roots its certificates lead to, and what is wrong with it. */
import type { Source } from '#certificates/choice.ts';
import { CertificateError } from '#certificates/error.ts';
import { type Trouble, troubleOf } from '#certificates/facts.ts';
import type { Account } from '#certificates/leaf.ts';
import { proveTrusted } from '#certificates/proof.ts';
import { mergeRoots } from '#certificates/pem.ts';
import type { MadeProvider } from '#certificates/providers/create.ts';
import { discoverRoots, type ProviderSpec, type Wanted } from '#certificates/providers/provider.ts';
import type { Trust } from '#certificates/trust.ts';
import { backoffMs } from '#kubernetes/backoff.ts';

export interface SourceOptions {
  readonly provide: (spec: ProviderSpec, known: MadeProvider | undefined) => Promise<MadeProvider>;
  /** Whose certificate shows an issuer's roots where it does not tell them. */
  readonly throwAway: Account;
  readonly wanted: (trustDomain: string) => Wanted;
  /** Keeps roots that were found where every replica sees them. */
  readonly remember: (root: { readonly name: string; readonly uid: string }, rootsPem: string) => void;
  /** Something is known that was not before: whoever follows the source looks again. */
  readonly changed: () => void;
  readonly now: () => number;
}

export interface CertificateSource {
  readonly source: Source;
  /** The provider as it could last be made; undefined before the first time. */
  readonly made: MadeProvider | undefined;
  readonly trouble: Trouble | undefined;
  /** Its roots under its trust domain; empty while none is known. */
  trust(): Trust;
  /** As much of it as its next certificate may lead to: one root where the provider says which, and all otherwise. */
  signs(): Trust;
  /** Takes up what the MeshRootCertificate and the Secrets say now. Never throws: what is wrong is its trouble. */
  refresh(source: Source): Promise<void>;
  /** A certificate led to this root. */
  noteRoot(rootPem: string): void;
  close(): void;
}

const firstRetryMs = 1_000;
const longestRetryMs = 30_000;

export function createCertificateSource(first: Source, options: SourceOptions): CertificateSource {
  const { now } = options;
  let source = first;
  let made: MadeProvider | undefined;
  let roots = '';
  let makingTrouble: Trouble | undefined;
  let discoveryTrouble: Trouble | undefined;
  let discovering = false;
  let failures = 0;
  let notUntil = 0;
  let closed = false;

  function take(rootsPem: string): void {
    const merged = mergeRoots([roots, rootsPem], now());
    if (merged === roots) return;
    roots = merged;
    if (source.root !== undefined) options.remember(source.root, roots);
    options.changed();
  }

  async function discover({ id, provider }: MadeProvider): Promise<void> {
    discovering = true;
    const isUsed = (): boolean => !closed && made?.id === id;
    try {
      const wanted = options.wanted(source.trustDomain);
      const found = await discoverRoots(provider, options.throwAway, wanted, (error) => {
        if (!isUsed()) return;
        discoveryTrouble = troubleOf(error);
        options.changed();
      });
      if (!isUsed()) return;
      failures = 0;
      discoveryTrouble = undefined;
      take(found);
    } catch (error) {
      if (!isUsed()) return;
      failures++;
      notUntil = now() + backoffMs(failures, { firstMs: firstRetryMs, longestMs: longestRetryMs, random: Math.random });
      discoveryTrouble = troubleOf(error);
      options.changed();
    } finally {
      discovering = false;
      // Another provider took its place meanwhile, and its roots are still to be found.
      if (!closed && !isUsed()) options.changed();
    }
  }

  /**
   * An authority of the user's own is tried before it signs for anybody: under a chain that forbids what it issues, every new
   * connection of the mesh would fail, and who signs now can go on. Providers outside are tried by the certificate that shows their roots.
   */
  async function prove({ provider }: MadeProvider): Promise<void> {
    if (provider.kind !== 'builtin') return;
    await proveTrusted(await provider.issue(options.throwAway, options.wanted(source.trustDomain)));
  }

  return {
    get source() {
      return source;
    },
    get made() {
      return made;
    },
    get trouble() {
      return makingTrouble ?? discoveryTrouble;
    },
    trust: () => (roots === '' ? new Map() : new Map([[source.trustDomain, roots]])),
    signs() {
      const root = made?.provider.signsUnder ?? roots;
      return root === '' ? new Map() : new Map([[source.trustDomain, root]]);
    },
    async refresh(next) {
      source = next;
      try {
        const again = await options.provide(next.provider, made);
        if (again.id !== made?.id) await prove(again);
        makingTrouble = undefined;
        if (again !== made) {
          made?.provider.close();
          made = again;
          failures = 0;
          notUntil = 0;
          discoveryTrouble = undefined;
        }
      } catch (error) {
        if (!(error instanceof CertificateError)) throw error;
        makingTrouble = troubleOf(error);
        return;
      }
      if (made.provider.kind === 'builtin') {
        // Its Secret says it all: a root that was taken out of there is trusted no more. It is kept to be told by.
        const published = (await made.provider.publishedRoots()) ?? '';
        if (published !== roots && next.root !== undefined) options.remember(next.root, published);
        roots = published;
        return;
      }
      roots = mergeRoots([roots, next.root?.knownRoots ?? ''], now());
      if (roots === '' && !discovering && now() >= notUntil) void discover(made);
    },
    noteRoot: take,
    close() {
      closed = true;
      made?.provider.close();
    },
  };
}
