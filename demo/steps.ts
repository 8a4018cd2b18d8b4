/** The nine steps of the bookstore walk, as data: what is applied, and how each counter must move afterwards. */

/** `equal` is a rise in which both versions get about the same. */
export type Movement = 'rises' | 'frozen' | 'equal';

/** The counters that the walk watches, in the order of its table. */
export const WATCHED = ['buyer V1', 'buyer V2', 'thief', 'store', 'warehouse'] as const;
export type Watched = (typeof WATCHED)[number];

export type Action =
  | { readonly kind: 'apply'; readonly file: string }
  | { readonly kind: 'permissive'; readonly value: boolean }
  | { readonly kind: 'none' };

export interface Step {
  readonly title: string;
  readonly actions: readonly Action[];
  readonly expected: Readonly<Record<Watched, Movement>>;
}

const apply = (file: string): Action => ({ kind: 'apply', file });

function expect(v1: Movement, v2: Movement, thief: Movement, store: Movement): Step['expected'] {
  return { 'buyer V1': v1, 'buyer V2': v2, thief, store, warehouse: store };
}

export const STEPS: readonly Step[] = [
  {
    title: 'permissive mode: every meshed pod may call every other',
    actions: [{ kind: 'none' }],
    expected: expect('rises', 'frozen', 'rises', 'rises'),
  },
  {
    title: 'permissive mode off: without a policy nobody may call anybody',
    actions: [{ kind: 'permissive', value: false }],
    expected: expect('frozen', 'frozen', 'frozen', 'frozen'),
  },
  {
    title: 'access policies applied: the buyer may buy, the store may restock',
    actions: [apply('traffic-access.yaml')],
    expected: expect('rises', 'frozen', 'frozen', 'rises'),
  },
  {
    title: 'the thief is allowed too',
    actions: [apply('allow-bookthief.yaml')],
    expected: expect('rises', 'frozen', 'rises', 'rises'),
  },
  {
    title: 'that is reverted',
    actions: [apply('traffic-access.yaml')],
    expected: expect('rises', 'frozen', 'frozen', 'rises'),
  },
  {
    title: 'version 2 is deployed; the root Service picks both versions',
    actions: [apply('bookstore-v2.yaml')],
    expected: expect('rises', 'rises', 'frozen', 'rises'),
  },
  {
    title: 'traffic split: all to version 1',
    actions: [apply('split-100-0.yaml')],
    expected: expect('rises', 'frozen', 'frozen', 'rises'),
  },
  {
    title: 'traffic split: half and half',
    actions: [apply('split-50-50.yaml')],
    expected: expect('equal', 'equal', 'frozen', 'rises'),
  },
  {
    title: 'traffic split: all to version 2',
    actions: [apply('split-0-100.yaml')],
    expected: expect('frozen', 'rises', 'frozen', 'rises'),
  },
];
