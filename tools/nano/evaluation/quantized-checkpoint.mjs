import { chooseFormat, quantizeRow, rowSizeInBytes } from '../../../packages/quantization/dist/index.js';
import { createWeightMatrix } from '../../../packages/weights/dist/index.js';

/** The recipes of `phiblocks quantize --to q4_0` and `--to q4_k`. */
const recipes = new Map([
  ['q4_0', 'Q4_0'],
  ['q4_k', 'Q4_K_M'],
  ['q8_0', 'Q8_0'],
]);

/**
 * An opened checkpoint whose matrices are quantized as they are read: what `phiblocks quantize` writes into a GGUF file, for
 * every class of the family and without a file.
 *
 * @param {import('../../../packages/runtime/dist/index.js').Checkpoint} checkpoint
 * @param {string} precision - `q4_0`, `q4_k` or `q8_0`
 */
export function quantizedCheckpoint(checkpoint, precision) {
  const recipe = recipes.get(precision);
  if (recipe === undefined)
    throw new Error(`the precision is bf16, ${[...recipes.keys()].join(', ')}, not ${precision}`);
  const { weights, config } = checkpoint;
  const isTied = config.modelType === 'phi3small' || config.tieWordEmbeddings === true;
  const formats = new Map();
  const tensors = new Map();
  for (const [name, stored] of weights.tensors) {
    const layer = /^model\.layers\.(\d+)\./.exec(name)?.[1];
    // A tied embedding is the output matrix, and gets its bits, as in `phiblocks quantize`.
    const role = isTied && name === 'model.embed_tokens.weight' ? 'lm_head.weight' : name;
    const isMatrix = stored.shape.length === 2;
    const { format } = isMatrix
      ? chooseFormat(
          recipe,
          role,
          stored.shape,
          layer === undefined ? undefined : Number(layer),
          config.numHiddenLayers,
        )
      : { format: stored.format };
    if (isMatrix) formats.set(name, format);
    const sizeInBytes = isMatrix ? stored.shape[0] * rowSizeInBytes(format, stored.shape[1]) : stored.sizeInBytes;
    tensors.set(name, { ...stored, format, sizeInBytes });
  }

  async function readMatrix(name) {
    const format = formats.get(name);
    if (format === undefined) return weights.readMatrix(name);
    const { data, shape } = await weights.readFloats(name);
    const [rows, columns] = shape;
    const rowBytes = rowSizeInBytes(format, columns);
    const bytes = new Uint8Array(rows * rowBytes);
    for (let row = 0; row < rows; row++) {
      const out = bytes.subarray(row * rowBytes, (row + 1) * rowBytes);
      quantizeRow(format, data.subarray(row * columns, (row + 1) * columns), { out });
    }
    return createWeightMatrix(format, shape, bytes);
  }

  return {
    ...checkpoint,
    weights: {
      tensors,
      warnings: weights.warnings,
      readMatrix,
      readBytes: (name, into) => weights.readBytes(name, into),
      // Only vectors are read as floats by the models; a quantized matrix would have to be expanded first.
      readFloats: (name) => weights.readFloats(name),
      close: () => weights.close(),
    },
  };
}
