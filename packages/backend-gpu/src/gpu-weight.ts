import type { WeightFormat, WeightHandle, WeightMatrix } from '@phiblocks/tensor';
import type { Device } from './device.ts';
import { layoutOf, packRows, rowsPerArray } from './pack-weights.ts';
import type { PackedLayout } from './packed-layout.ts';
import type { Slot, WorkQueue } from './work-queue.ts';

/** Some rows of a weight matrix, in arrays that the device can hold. */
interface Part {
  readonly firstRow: number;
  readonly rows: number;
  readonly words: Slot;
  readonly scales: Slot;
  readonly offsets: Slot;
}

/** A weight matrix on the device, in one part or in several where one array cannot hold it. */
export class GpuWeight implements WeightHandle {
  readonly format: WeightFormat;
  readonly shape: readonly [rows: number, columns: number];
  readonly #layout: PackedLayout | undefined;
  readonly #parts: readonly Part[];

  constructor(device: Device, queue: WorkQueue, matrix: WeightMatrix) {
    this.format = matrix.format;
    this.shape = matrix.shape;
    const layout = layoutOf(matrix, device.mode);
    this.#layout = layout;
    const [rows] = matrix.shape;
    const atOnce = rowsPerArray(matrix, layout, device.mostElements);
    const parts: Part[] = [];
    for (let firstRow = 0; firstRow < rows; firstRow += atOnce) {
      const packed = packRows(matrix, layout, device.mode, firstRow, Math.min(atOnce, rows - firstRow));
      const words = queue.place(packed.words, packed.rows, packed.wordRows);
      const scales = placeOr(queue, packed.scales, packed.rows, words);
      parts.push({
        firstRow,
        rows: packed.rows,
        words,
        scales,
        offsets: placeOr(queue, packed.offsets, packed.rows, scales),
      });
    }
    this.#parts = parts;
  }

  /** `x · Wᵀ (+ bias)` */
  linear(queue: WorkQueue, x: Slot, bias: Slot | undefined): Slot {
    const columns = this.shape[1];
    let joined: Slot | undefined;
    for (const part of this.#parts) {
      const { firstRow, rows, words, scales, offsets } = part;
      const isWhole = rows === this.shape[0];
      const partOfBias = bias && !isWhole ? queue.launch('slice', {}, rows, 1, [bias, 0, firstRow]) : (bias ?? scales);
      const hasBias = bias ? 1 : 0;
      const result = this.#layout
        ? queue.launch('linearPacked', constantsOf(this.#layout), rows, x.rows, [
            x,
            words,
            scales,
            offsets,
            partOfBias,
            columns / this.#layout.groupSize,
            hasBias,
          ])
        : queue.launch('linearFloat', {}, rows, x.rows, [x, words, partOfBias, columns, hasBias]);
      if (bias && !isWhole) queue.release(partOfBias);
      if (!joined) {
        joined = result;
        continue;
      }
      const both = queue.launch('joinColumns', {}, joined.columns + rows, x.rows, [joined, result, joined.columns]);
      queue.release(joined);
      queue.release(result);
      joined = both;
    }
    return joined ?? { columns: 0, rows: x.rows, array: undefined };
  }

  /** The rows of some ids. */
  embed(queue: WorkQueue, ids: Slot): Slot {
    const [, columns] = this.shape;
    let sum: Slot | undefined;
    for (const { firstRow, rows, words, scales, offsets } of this.#parts) {
      const result = this.#layout
        ? queue.launch('embedPacked', constantsOf(this.#layout), columns, ids.columns, [
            words,
            scales,
            offsets,
            ids,
            firstRow,
            rows,
          ])
        : queue.launch('embedFloat', {}, columns, ids.columns, [words, ids, firstRow, rows]);
      if (!sum) {
        sum = result;
        continue;
      }
      // A part gives zeros for ids that are not its own.
      const both = queue.launch('add', {}, columns, ids.columns, [sum, result]);
      queue.release(sum);
      queue.release(result);
      sum = both;
    }
    return sum ?? { columns, rows: ids.columns, array: undefined };
  }

  free(queue: WorkQueue): void {
    for (const { words, scales, offsets } of this.#parts) {
      for (const slot of new Set([words, scales, offsets])) queue.release(slot);
    }
  }
}

/** A kernel has all its arguments always; one that it does not read may be any array. */
function placeOr(queue: WorkQueue, data: Float32Array, columns: number, unused: Slot): Slot {
  return data.length === 0 ? unused : queue.place(data, columns, data.length / columns);
}

function constantsOf({ bits, groupSize, wordsPerGroup, valuesPerWord, zero, hasOffset }: PackedLayout) {
  return {
    groupSize,
    wordsPerGroup,
    valuesPerWord,
    radix: 2 ** bits,
    inverseRadix: 2 ** -bits,
    zero,
    hasOffset: hasOffset ? 1 : 0,
  };
}
