import { ArgumentError, expectKnownOptions, sizeOfShape, type WeightFormat } from '@phiblocks/tensor';
import { blockFormatOf } from '../block-formats.ts';
import { rowFits } from '../row-size.ts';
import { type TensorRole, tensorRole } from './tensor-role.ts';

/** The recipes by name: the formats themselves, and the mixtures of llama.cpp. */
export type RecipeName = Exclude<WeightFormat, 'Q4_K' | 'Q5_K'> | 'Q4_K_S' | 'Q4_K_M' | 'Q5_K_S' | 'Q5_K_M';

/** A mixture of one's own. */
export interface CustomRecipe {
  /** For every matrix that nothing below names. */
  readonly default: WeightFormat;
  readonly roles?: Partial<Readonly<Record<TensorRole, WeightFormat>>> | undefined;
  /** By exact tensor name; comes before roles, also for vectors. */
  readonly tensors?: ReadonlyMap<string, WeightFormat> | undefined;
}

/** What a tensor is to be stored as. */
export interface FormatChoice {
  readonly tensor: string;
  readonly format: WeightFormat;
  /** What the recipe asks for; differs from `format` where the rows are no whole number of its blocks. */
  readonly wanted: WeightFormat;
  /** Why the two differ; absent where they do not. */
  readonly reason?: string | undefined;
}

/**
 * Which format a recipe stores a tensor in.
 *
 * Vectors (norms, biases, the factor lists of LongRoPE) and routers stay float32. The recipes by name store the output
 * matrix as Q6_K, except the float recipes and Q8_0; the mixtures give some projections more bits, as llama.cpp does for
 * the fused tensors of Phi-3. Separate query, key and value projections are treated as the fused one. A matrix of no known
 * role is float16 in a recipe by name.
 *
 * A row that is no whole number of blocks of 256 falls back to a format of 32 weights (Q4_K to Q5_0, Q5_K to Q5_1, Q6_K to
 * Q8_0), and one that is none of 32 to F16, as in llama.cpp; the choice says so.
 *
 * Source: llama.cpp `src/llama-quant.cpp` (llama_tensor_get_type).
 *
 * @param recipe - a name or a mixture of one's own
 * @param tensorName - in GGUF's spelling or the checkpoint's
 * @param shape - outermost dimension first
 * @param layerIndex - from 0; only for tensors of a layer
 * @param numLayers - how many layers the model has
 * @throws ArgumentError `ARGUMENT` for an unknown recipe or format, or a down projection in a recipe that tells layers apart
 * without layer index or number of layers
 * @throws ShapeError `SHAPE` for a dimension that is no whole number from 0 up
 * @throws Phi3Error `OPTION_UNKNOWN` for an unknown field of a custom recipe
 * @example
 * chooseFormat('Q4_K_M', 'blk.0.ffn_down.weight', [3072, 8192], 0, 32).format; // => 'Q6_K'
 * chooseFormat('Q4_K_M', 'blk.4.ffn_down.weight', [3072, 8192], 4, 32).format; // => 'Q4_K'
 * chooseFormat({ default: 'Q4_0', roles: { head: 'Q8_0' } }, 'lm_head.weight', [32064, 3072]).format; // => 'Q8_0'
 * const choice = chooseFormat('Q4_K_S', 'blk.0.attn_qkv.weight', [864, 288], 0, 6);
 * choice.format; // => 'Q5_0'
 * choice.reason; // => 'rows of 288 weights are no whole number of Q4_K blocks of 256'
 */
export function chooseFormat(
  recipe: RecipeName | CustomRecipe,
  tensorName: string,
  shape: readonly number[],
  layerIndex?: number,
  numLayers?: number,
): FormatChoice {
  sizeOfShape(shape);
  const role = tensorRole(tensorName);
  const wanted =
    typeof recipe === 'string'
      ? namedFormat(recipe, role, shape, layerIndex, numLayers)
      : customFormat(recipe, role, tensorName, shape);
  const columns = shape.at(-1) ?? 1;
  let format = wanted;
  while (!rowFits(format, columns)) format = nextFormat(format);
  if (format === wanted) return { tensor: tensorName, format, wanted };
  const weightsPerBlock = blockFormatOf('chooseFormat', wanted)?.weightsPerBlock;
  const reason = `rows of ${columns} weights are no whole number of ${wanted} blocks of ${weightsPerBlock}`;
  return { tensor: tensorName, format, wanted, reason };
}

function customFormat(
  recipe: CustomRecipe,
  role: TensorRole,
  tensorName: string,
  shape: readonly number[],
): WeightFormat {
  expectKnownOptions('chooseFormat', recipe, ['default', 'roles', 'tensors']);
  const { roles = {}, tensors } = recipe;
  expectKnownOptions('chooseFormat', roles, tensorRoles());
  const named = tensors?.get(tensorName);
  if (named !== undefined) return named;
  if (shape.length < 2) return 'F32';
  return roles[role] ?? (role === 'router' ? 'F32' : recipe.default);
}

function tensorRoles(): TensorRole[] {
  return [
    'embedding',
    'head',
    'attentionInput',
    'attentionOutput',
    'feedForwardUp',
    'feedForwardDown',
    'router',
    'other',
  ];
}

function namedFormat(
  recipe: RecipeName,
  role: TensorRole,
  shape: readonly number[],
  layerIndex: number | undefined,
  numLayers: number | undefined,
): WeightFormat {
  const base = baseFormat(recipe);
  if (shape.length < 2 || role === 'router') return 'F32';
  if (base === 'F32' || base === 'F16' || base === 'BF16') return base;
  if (role === 'other') return 'F16';
  if (role === 'head') return base === 'Q8_0' ? 'Q8_0' : 'Q6_K';
  if (role === 'attentionInput') {
    if (recipe === 'Q4_K_M') return 'Q5_K';
    if (recipe === 'Q5_K_M') return 'Q6_K';
  }
  if (role === 'feedForwardDown' && (recipe === 'Q4_K_S' || recipe === 'Q4_K_M' || recipe === 'Q5_K_M')) {
    const [layer, layers] = expectLayer(recipe, layerIndex, numLayers);
    if (recipe === 'Q4_K_S') return layer < Math.floor(layers / 8) ? 'Q5_K' : 'Q4_K';
    return hasMoreBits(layer, layers) ? 'Q6_K' : base;
  }
  return base;
}

function baseFormat(recipe: RecipeName): WeightFormat {
  switch (recipe) {
    case 'Q4_K_S':
    case 'Q4_K_M':
      return 'Q4_K';
    case 'Q5_K_S':
    case 'Q5_K_M':
      return 'Q5_K';
    case 'F32':
    case 'F16':
    case 'BF16':
    case 'Q8_0':
    case 'Q4_0':
    case 'Q4_1':
    case 'Q5_0':
    case 'Q5_1':
    case 'Q6_K':
      return recipe;
    default:
      throw new ArgumentError({
        function: 'chooseFormat',
        argument: 'recipe',
        expected: 'F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q6_K, Q4_K_S, Q4_K_M, Q5_K_S, Q5_K_M or an object',
        got: recipe,
      });
  }
}

/** The first and the last eighth of the layers, and every third between. Whole-number division as in the source. */
function hasMoreBits(layer: number, layers: number): boolean {
  const eighth = Math.floor(layers / 8);
  return layer < eighth || layer >= Math.floor((7 * layers) / 8) || (layer - eighth) % 3 === 2;
}

function expectLayer(
  recipe: string,
  layerIndex: number | undefined,
  numLayers: number | undefined,
): [layer: number, layers: number] {
  if (numLayers === undefined || !Number.isSafeInteger(numLayers) || numLayers < 1) {
    throw new ArgumentError({
      function: 'chooseFormat',
      argument: 'numLayers',
      expected: `a whole number from 1 up, because ${recipe} tells layers apart`,
      got: numLayers,
    });
  }
  if (layerIndex === undefined || !Number.isSafeInteger(layerIndex) || layerIndex < 0 || layerIndex >= numLayers) {
    throw new ArgumentError({
      function: 'chooseFormat',
      argument: 'layerIndex',
      expected: `a whole number from 0 to ${numLayers - 1}, because ${recipe} tells layers apart`,
      got: layerIndex,
    });
  }
  return [layerIndex, numLayers];
}

function nextFormat(format: WeightFormat): WeightFormat {
  if (format === 'Q4_K') return 'Q5_0';
  if (format === 'Q5_K') return 'Q5_1';
  if (format === 'Q6_K') return 'Q8_0';
  return 'F16';
}
