/** One measured figure, beside the peer that it was measured against in the same run, and the target of the design. */
export interface BenchResult {
  readonly name: string;
  /** e.g. `ms`, `1/s`, `KB`. */
  readonly unit: string;
  readonly value: number;
  /** The same figure of what we compare with, when there is one. */
  readonly peer: number | null;
  /** value / peer. */
  readonly ratio: number | null;
  /** As the design writes it, e.g. `<= 1.10x` or `>= 1000`. */
  readonly target: string | null;
  /** Null where there is no target. */
  readonly met: boolean | null;
}

export type Bench = () => Promise<BenchResult[]>;

/** A figure with a bound on its value, or on its ratio to the peer when the target ends with `x`. */
export function measured(
  name: string,
  unit: string,
  value: number,
  options: { readonly peer?: number; readonly target?: string } = {},
): BenchResult {
  const ratio = options.peer === undefined ? null : value / options.peer;
  return {
    name,
    unit,
    value,
    peer: options.peer ?? null,
    ratio,
    target: options.target ?? null,
    met: options.target === undefined ? null : holds(options.target, value, ratio),
  };
}

function holds(target: string, value: number, ratio: number | null): boolean {
  const parts = /^(<=|>=) ([\d.]+)(x?)$/.exec(target);
  if (parts === null) throw new Error(`a target is written like "<= 10" or ">= 0.5x", not "${target}"`);
  const subject = parts[3] === 'x' ? ratio : value;
  if (subject === null) throw new Error(`the target "${target}" needs a peer`);
  return parts[1] === '<=' ? subject <= Number(parts[2]) : subject >= Number(parts[2]);
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

/** Nearest rank; `values` need not be sorted. NaN when empty. */
export function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(q * sorted.length) - 1))] ?? Number.NaN;
}
