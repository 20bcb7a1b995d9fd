/** The tokens so far. Penalties differ in which of the two they look at. */
export interface TokenHistory {
  /** Ids of the prompt. A negative id stands for a position without a token, as Phi-3-vision marks image positions. */
  readonly promptIds: ArrayLike<number>;
  /** Ids generated so far, oldest first. */
  readonly generatedIds: ArrayLike<number>;
}

/** Number of positions of the whole history. */
export function historyLength(history: TokenHistory): number {
  return history.promptIds.length + history.generatedIds.length;
}

/** The id at a position of the whole history, the prompt first. */
export function idAt(history: TokenHistory, position: number): number {
  const promptLength = history.promptIds.length;
  return position < promptLength ? history.promptIds[position]! : history.generatedIds[position - promptLength]!;
}
