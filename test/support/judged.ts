/** An outcome of `mesh/check.ts` in the words of the simulation's `verdict`, so that the two judges can be compared. */
import type { Outcome } from '#mesh/check.ts';
import { sharesText } from './simulate/say.ts';

export function judged(outcome: Outcome): string {
  switch (outcome.outcome) {
    case 'refused':
      return `${outcome.where}:${outcome.why}`;
    case 'answered': {
      const shares = new Map<string, number>();
      for (const { service, account, share } of outcome.shares) {
        const whom = `${service} ${account}`;
        shares.set(whom, (shares.get(whom) ?? 0) + share);
      }
      return sharesText(shares);
    }
    case 'unavailable':
    case 'passthrough':
      return outcome.outcome;
    default:
      return outcome satisfies never;
  }
}
