import type { CustomRecipe, RecipeName } from '@phiblocks/quantization';
import type { WeightFormat } from '@phiblocks/tensor';
import type { GgufFileType } from '@phiblocks/weights';
import { UsageError } from '../usage-error.ts';

/** What matrices become. */
export interface Target {
  readonly format: WeightFormat;
  readonly recipe: RecipeName | CustomRecipe;
  /** How the result is called: a format or a mixture. */
  readonly label: GgufFileType;
}

const formats: readonly WeightFormat[] = [
  'Q4_0',
  'Q4_1',
  'Q5_0',
  'Q5_1',
  'Q8_0',
  'Q4_K',
  'Q5_K',
  'Q6_K',
  'F16',
  'BF16',
  'F32',
];

/** The mixtures and the format that most of their matrices have. The first of a format is its default, as in llama.cpp. */
const mixtures: readonly (readonly [name: RecipeName & GgufFileType, base: WeightFormat])[] = [
  ['Q4_K_M', 'Q4_K'],
  ['Q4_K_S', 'Q4_K'],
  ['Q5_K_M', 'Q5_K'],
  ['Q5_K_S', 'Q5_K'],
];

/** For help texts. */
export const formatChoices = formats.map((format) => format.toLowerCase()).join('|');
export const recipeChoices = [...mixtures.map(([name]) => name.toLowerCase()), 'uniform'];

/** Targets from `--to` and `--recipe`. */
export function parseTargets(to: string, recipe: string | undefined): Target[] {
  const names = to.split(',').map((name) => name.trim().toUpperCase());
  return names.map((name) => {
    const format = formats.find((known) => known === name);
    if (format === undefined) throw new UsageError(`--to takes ${formatChoices}, not ${JSON.stringify(name)}`);
    return targetOf(format, recipe?.toUpperCase());
  });
}

export const isFloatFormat = (format: WeightFormat): boolean => ['F32', 'F16', 'BF16'].includes(format);

function targetOf(format: WeightFormat, recipe: string | undefined): Target {
  const ofFormat = mixtures.filter(([, base]) => base === format).map(([name]) => name);
  if (recipe === 'UNIFORM') return { format, recipe: { default: format }, label: plainLabel(format) };
  if (recipe === undefined) {
    const [mixture] = ofFormat;
    if (mixture !== undefined) return { format, recipe: mixture, label: mixture };
    const plain = plainLabel(format);
    return { format, recipe: plain, label: plain };
  }
  const mixture = ofFormat.find((name) => name === recipe);
  if (mixture === undefined) {
    const fitting = [...ofFormat, 'uniform'].join(' or ').toLowerCase();
    throw new UsageError(`--recipe ${recipe.toLowerCase()} does not go with --to ${format.toLowerCase()}: ${fitting}`);
  }
  return { format, recipe: mixture, label: mixture };
}

/** GGUF has no name for nothing but Q4_K or Q5_K; the small mixtures are the nearest. */
function plainLabel(format: WeightFormat): Exclude<WeightFormat, 'Q4_K' | 'Q5_K'> | 'Q4_K_S' | 'Q5_K_S' {
  return format === 'Q4_K' ? 'Q4_K_S' : format === 'Q5_K' ? 'Q5_K_S' : format;
}
