/** A TCP connection that stays open in a pod and says a word five times a second to a server that echoes. */
import { eventually } from '#test/support/eventually.ts';
import { lab } from './lab.ts';

export interface HeldState {
  readonly hold: 'opening' | 'open' | 'closed';
  readonly sent: number;
  readonly echoes: number;
  /** Milliseconds since the epoch. */
  readonly closedAt?: number;
  readonly error?: string;
}

export interface HeldConnection {
  state(): HeldState;
  /** Waits for more words to come back, which proves that the connection lives. */
  carriesWords(): Promise<void>;
  /** Waits until it is closed; gives the time in milliseconds since the epoch. */
  closed(deadlineMs: number): Promise<number>;
  end(): void;
}

/** Opens it, and waits until it carries words. */
export async function holdConnection(
  namespace: string,
  app: string,
  host: string,
  port: number,
): Promise<HeldConnection> {
  const command = ['node', '/programs/hold.mjs', host, String(port)];
  const running = await lab.background(namespace, app, command, { input: true });
  const state = (): HeldState => {
    const line = running
      .output()
      .split('\n')
      .findLast((text) => text.startsWith('{') && text.endsWith('}'));
    return line === undefined ? { hold: 'opening', sent: 0, echoes: 0 } : (JSON.parse(line) as HeldState);
  };
  const seen = { state: async () => running.output().slice(-600) };
  const held: HeldConnection = {
    state,
    async carriesWords() {
      const before = state().echoes;
      const what = `the connection from ${namespace}/${app} to ${host}:${port} carries words`;
      await eventually(what, async () => state().hold === 'open' && state().echoes >= before + 3, {
        ...seen,
        deadlineMs: 10_000,
      });
    },
    closed: (deadlineMs) =>
      eventually(`the connection from ${namespace}/${app} is closed`, async () => state().closedAt, {
        ...seen,
        deadlineMs,
      }),
    end: () => running.end(),
  };
  await held.carriesWords();
  return held;
}
