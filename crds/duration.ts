/** Durations as Go writes them, which is how users of OSM write them: `90s`, `1h30m`, `1.5h`, `0`. */

const unitMs: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3, // U+00B5
  μs: 1e-3, // U+03BC
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
};

/** Milliseconds (with a fraction below 1 ms); undefined for what is not a duration. Signs are not accepted. */
export function durationMs(text: string): number | undefined {
  if (text === '0') return 0;
  let total = 0;
  let end = 0;
  for (const match of text.matchAll(/([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)/gy)) {
    total += Number(match[1]) * (unitMs[match[2] ?? ''] ?? Number.NaN);
    end = match.index + match[0].length;
  }
  return end > 0 && end === text.length ? total : undefined;
}
