/** What the small commands of this repository are asked: switches, and no other argument. */
import { parseArgs } from 'node:util';

export interface CommandUse {
  /** As people start it, e.g. `npm run golden`. */
  readonly command: string;
  /** One line: what it does. */
  readonly does: string;
  /** Its switches, and what each does. */
  readonly flags?: Readonly<Record<string, string>>;
}

export type Asked =
  | { readonly kind: 'run'; readonly flags: ReadonlySet<string> }
  | { readonly kind: 'help' | 'wrong'; readonly text: string };

/** PURE: what these arguments ask for. What is not known is wrong: a misspelt switch must not do what nobody asked for. */
export function asked(args: readonly string[], use: CommandUse): Asked {
  const names = ['help', ...Object.keys(use.flags ?? {})];
  const switches = names.map(
    (name) => [name, { type: 'boolean', ...(name === 'help' ? { short: 'h' } : {}) }] as const,
  );
  try {
    const { values } = parseArgs({ args: [...args], options: Object.fromEntries(switches) });
    if (values['help'] === true) return { kind: 'help', text: usage(use) };
    return { kind: 'run', flags: new Set(Object.keys(values)) };
  } catch (error) {
    return { kind: 'wrong', text: `${error instanceof Error ? error.message : String(error)}\n\n${usage(use)}` };
  }
}

/** The switches of this process. Where it was asked for help, or wrongly, it ends here, with 0 or 2. */
export function flagsOrExit(use: CommandUse): ReadonlySet<string> {
  const result = asked(process.argv.slice(2), use);
  if (result.kind === 'run') return result.flags;
  (result.kind === 'help' ? console.log : console.error)(result.text);
  process.exit(result.kind === 'help' ? 0 : 2);
}

function usage({ command, does, flags = {} }: CommandUse): string {
  const rows = [...Object.entries(flags), ['help', 'show this'] as const];
  const width = Math.max(...rows.map(([name]) => name.length));
  return [
    `usage: ${command}${Object.keys(flags).length === 0 ? '' : ` [-- ${rows.map(([name]) => `--${name}`).join(' | ')}]`}`,
    '',
    does,
    '',
    ...rows.map(([name, what]) => `  --${name.padEnd(width)}  ${what}`),
  ].join('\n');
}
