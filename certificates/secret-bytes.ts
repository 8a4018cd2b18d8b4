import { inspect } from 'node:util';

const redacted = '[redacted]';

/**
 * A private key or token, which must not end up in a log, a dump or an error by accident: however it is printed, it
 * says `[redacted]`. What it holds comes out through `reveal` alone, so that every use can be found by that word.
 */
export class SecretBytes {
  readonly #bytes: Uint8Array;

  constructor(content: Uint8Array | string) {
    this.#bytes = typeof content === 'string' ? Buffer.from(content, 'utf8') : content;
  }

  reveal(): Uint8Array {
    return this.#bytes;
  }

  /** What it holds, as UTF-8. */
  revealText(): string {
    return Buffer.from(this.#bytes).toString('utf8');
  }

  toString(): string {
    return redacted;
  }

  toJSON(): string {
    return redacted;
  }

  [Symbol.toPrimitive](): string {
    return redacted;
  }

  [inspect.custom](): string {
    return redacted;
  }
}
