/**
 * One block of any format, unpacked. Weight i, of group g = floor(i / weightsPerGroup), is
 *
 *     d · scaleCodes[g] · codes[i] + m · minimumCodes[g]
 *
 * so that one piece of code dequantizes, multiplies and measures all formats. A format of 32 weights has one group with
 * scale code 1. Codes are signed: the −8 of Q4_0 and its kin is already taken off.
 *
 * @internal
 */
export interface QuantizedBlock {
  /** As stored: a float16 value. */
  d: number;
  /**
   * As stored, a float16 value; in Q4_K and Q5_K with its sign turned, since they subtract their minimum. −0 in formats
   * without one: adding it changes no weight, not even −0.
   */
  m: number;
  readonly scaleCodes: Int8Array;
  readonly minimumCodes: Uint8Array;
  readonly codes: Int8Array;
}

/** Room for a block of up to 256 weights. @internal */
export function createQuantizedBlock(): QuantizedBlock {
  return { d: 0, m: 0, scaleCodes: new Int8Array(16), minimumCodes: new Uint8Array(16), codes: new Int8Array(256) };
}

/** @internal */
export function copyBlock(from: QuantizedBlock, to: QuantizedBlock): void {
  to.d = from.d;
  to.m = from.m;
  to.scaleCodes.set(from.scaleCodes);
  to.minimumCodes.set(from.minimumCodes);
  to.codes.set(from.codes);
}

/** How a format cuts a row and which codes it has. @internal */
export interface BlockLayout {
  readonly weightsPerBlock: number;
  readonly bytesPerBlock: number;
  /** How many neighbours share a scale. */
  readonly weightsPerGroup: number;
  readonly lowestCode: number;
  readonly highestCode: number;
}

/** A block format of GGUF: its layout, its bytes and its quantizer. @internal */
export interface BlockFormat extends BlockLayout {
  unpack(bytes: Uint8Array, at: number, block: QuantizedBlock): void;
  pack(block: QuantizedBlock, bytes: Uint8Array, at: number): void;
  /** Fills `block` for the weights in `job`. */
  quantize(job: BlockJob, block: QuantizedBlock): void;
}

/** What a quantizer works on, with the room it works in; one per row or matrix, refilled for every block. @internal */
export interface BlockJob {
  /** The weights of the block. */
  readonly x: Float64Array;
  /** How much the squared error of each weight counts. */
  readonly importance: Float64Array;
  /** The same, except that a group of weights that do not count at all is searched as if they all counted alike. */
  readonly searchWeights: Float64Array;
  /** Whether scales are searched; otherwise they follow from the largest or the range. */
  readonly search: boolean;
  /** Candidates: a block that is being tried, scales and offsets of its groups. */
  readonly trial: QuantizedBlock;
  readonly scales: Float64Array;
  readonly offsets: Float64Array;
}

/** @internal */
export function createBlockJob(search: boolean): BlockJob {
  return {
    x: new Float64Array(256),
    importance: new Float64Array(256).fill(1),
    searchWeights: new Float64Array(256).fill(1),
    search,
    trial: createQuantizedBlock(),
    scales: new Float64Array(16),
    offsets: new Float64Array(16),
  };
}
