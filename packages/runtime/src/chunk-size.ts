/** A part of a pass that takes longer makes the next chunk smaller: an abort is heard only between parts. */
const longestPartMs = 100;
/** Smaller chunks would read the weights more often than they multiply with them. */
const leastChunkSize = 8;

/** How many tokens of a prompt run in one pass. */
export interface ChunkSize {
  readonly tokens: number;
  /** Told the longest part of the last pass, in milliseconds, and how many tokens it had. */
  adapt(longestPartMs: number, numTokens: number): void;
}

/**
 * Starts with the size asked for. On a machine that is slow or busy, or far into a long context, a layer of that many tokens takes
 * long; chunks are then halved, and doubled again up to the size asked for when there is room. Results do not depend on it.
 *
 * @param most - the size asked for, from 1
 */
export function createChunkSize(most: number): ChunkSize {
  let tokens = most;
  return {
    get tokens() {
      return tokens;
    },
    adapt(partMs, numTokens) {
      const halved = Math.ceil(tokens / 2);
      if (partMs > longestPartMs && numTokens > leastChunkSize && numTokens === tokens) {
        tokens = Math.max(halved, Math.min(leastChunkSize, most));
      } else if (2.5 * partMs < longestPartMs && numTokens === tokens) {
        // Twice the tokens take twice the time, and a little is left to spare: sizes do not swing to and fro.
        tokens = Math.min(2 * tokens, most);
      }
    },
  };
}
