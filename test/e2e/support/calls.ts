/** Calls of every protocol from inside a pod, by the program call.mjs of the tools image. */
import type { Call, Outcome } from '../programs/outcome.ts';
import { lab } from './lab.ts';

/** Makes the calls from an application's container, all at once. Rejects only when they could not be made at all. */
export async function callsFrom(namespace: string, app: string, calls: readonly Call[]): Promise<Outcome[]> {
  const plain = calls.map(({ protocol, target, path }) => ({ protocol, target, path }));
  const command = ['node', '/programs/call.mjs', JSON.stringify(plain)];
  const output = await lab.kubectl(['exec', '-n', namespace, `deployment/${app}`, '-c', 'app', '--', ...command]);
  return JSON.parse(output) as Outcome[];
}

export async function callFrom(namespace: string, app: string, call: Call): Promise<Outcome> {
  const [outcome] = await callsFrom(namespace, app, [call]);
  if (outcome === undefined) throw new Error('call.mjs made no call');
  return outcome;
}
