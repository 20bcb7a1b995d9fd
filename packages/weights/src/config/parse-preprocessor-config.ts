import { expectKnownOptions } from '@phiblocks/tensor';
import { type ConfigFields, parseConfigFields, unreadWarning } from './config-fields.ts';
import type { ParseConfigOptions } from './parse-phi3-config.ts';

/** What `preprocessor_config.json` of a vision member says. */
export interface PreprocessorConfig {
  /** Crops into which a picture is cut at most: 16 in Phi-3-vision's file, 4 in Phi-3.5-vision's. */
  readonly numCrops: number;
  /** What was accepted but a person should know, in sentences. */
  readonly warnings: readonly string[];
}

/** As the HD transform limits it. */
const mostCrops = 64;

// Of OpenAI's CLIP; what the published members state and this project computes.
const mean = [0.48145466, 0.4578275, 0.40821073];
const std = [0.26862954, 0.26130258, 0.27577711];

/**
 * Reads and checks a `preprocessor_config.json` of Phi-3-vision or Phi-3.5-vision. `num_crops` is required: nothing else says
 * how a picture is cut. Mean and deviation must be CLIP's, where they are stated.
 *
 * @param bytes - the file
 * @returns frozen
 * @throws Phi3Error `CF_…` with the key (see `configErrorCodes`)
 * @example
 * parsePreprocessorConfig(new TextEncoder().encode('{"num_crops": 16, "num_img_tokens": 144}')).numCrops; // => 16
 */
export function parsePreprocessorConfig(bytes: Uint8Array, options: ParseConfigOptions = {}): PreprocessorConfig {
  expectKnownOptions('parsePreprocessorConfig', options, ['file']);
  const { file = 'preprocessor_config.json' } = options;
  const fields = parseConfigFields('parsePreprocessorConfig', file, bytes);
  fields.ignore([
    'auto_map',
    'image_processor_type',
    'processor_class',
    'feature_extractor_type',
    'transformers_version',
  ]);
  const numCrops = fields.size('num_crops', undefined, mostCrops);
  expectNumbers(fields, 'image_mean', mean);
  expectNumbers(fields, 'image_std', std);
  fields.only('num_img_tokens', 144);
  fields.only('do_convert_rgb', true);
  const unread = fields.unread();
  const warnings = unread.length > 0 ? [unreadWarning(file, unread)] : [];
  return Object.freeze({ numCrops, warnings: Object.freeze(warnings) });
}

function expectNumbers(fields: ConfigFields, name: string, expected: readonly number[]): void {
  const value = fields.value(name);
  if (value === undefined) return;
  const isSame = Array.isArray(value) && value.length === 3 && expected.every((number, i) => number === value[i]);
  if (!isSame) throw fields.error('CF_UNSUPPORTED', name, `${JSON.stringify(expected)}, that of CLIP`, value);
}
