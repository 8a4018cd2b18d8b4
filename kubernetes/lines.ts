/** Cuts a byte stream into lines. Works on bytes, since a chunk may end inside a character. */
export interface LineSplitter {
  /** The lines that are complete with this chunk, without their line feed; empty ones are left out. */
  push(chunk: Buffer): Buffer[];
  /** Bytes of the line that is not complete yet. */
  readonly rest: number;
}

export function createLineSplitter(): LineSplitter {
  // Pieces are joined once a line is complete: joining at each chunk would make a large object cost its square.
  let pieces: Buffer[] = [];
  let rest = 0;
  return {
    push(chunk) {
      const lines: Buffer[] = [];
      let start = 0;
      for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, start)) {
        const tail = chunk.subarray(start, end);
        const line = pieces.length === 0 ? tail : Buffer.concat([...pieces, tail]);
        pieces = [];
        rest = 0;
        if (line.length > 0) lines.push(line);
        start = end + 1;
      }
      if (start < chunk.length) {
        pieces.push(chunk.subarray(start));
        rest += chunk.length - start;
      }
      return lines;
    },
    get rest() {
      return rest;
    },
  };
}
