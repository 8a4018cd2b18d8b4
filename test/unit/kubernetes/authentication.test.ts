import assert from 'node:assert/strict';
import { createAuthentication } from '#kubernetes/authentication.ts';

describe('the answers to our token', () => {
  /** Seconds, and the status of the answer that came then. */
  type Answers = readonly (readonly [number, number])[];
  const cases: [string, Answers, boolean][] = [
    ['none yet', [], false],
    [
      'good ones',
      [
        [0, 200],
        [60, 201],
      ],
      false,
    ],
    ['one 401 alone', [[0, 401]], false],
    [
      '401 for 30 s',
      [
        [0, 401],
        [15, 401],
        [30, 401],
      ],
      false,
    ],
    [
      '401 for longer',
      [
        [0, 401],
        [15, 401],
        [30.001, 401],
      ],
      true,
    ],
    [
      '401 and good ones in turn: somebody else’s trouble',
      [
        [0, 401],
        [20, 200],
        [40, 401],
        [60, 401],
      ],
      false,
    ],
    [
      '401 for longer, then a good one: a new token was read',
      [
        [0, 401],
        [31, 401],
        [32, 200],
      ],
      false,
    ],
    [
      'other refusals: we are known, and may not',
      [
        [0, 403],
        [31, 403],
        [62, 404],
        [93, 500],
      ],
      false,
    ],
    [
      'a refusal of another kind between',
      [
        [0, 401],
        [20, 403],
        [40, 401],
      ],
      false,
    ],
  ];
  for (const [name, answers, lasting] of cases) {
    it(`${name}: ${lasting ? 'unready' : 'ready'}`, () => {
      let seconds = 0;
      const authentication = createAuthentication(() => seconds * 1_000);
      for (const [at, status] of answers) {
        seconds = at;
        authentication.note(status);
      }
      seconds += 3_600; // time that passes without an answer proves nothing
      assert.equal(authentication.refusal?.includes('401'), lasting ? true : undefined);
    });
  }
});
