import { describe, expect, it } from 'vitest';
import { parsePreprocessorConfig } from './parse-preprocessor-config.ts';

const published = {
  image_mean: [0.48145466, 0.4578275, 0.40821073],
  image_processor_type: 'Phi3VImageProcessor',
  image_std: [0.26862954, 0.26130258, 0.27577711],
  num_crops: 16,
  num_img_tokens: 144,
  processor_class: 'Phi3VProcessor',
};
const parse = (json: object) => parsePreprocessorConfig(new TextEncoder().encode(JSON.stringify(json)));

describe('parsePreprocessorConfig', () => {
  it('reads the published file without a warning', () => {
    expect(parse(published)).toEqual({ numCrops: 16, warnings: [] });
    expect(parse({ ...published, num_crops: 4 }).numCrops).toBe(4);
  });

  it('names fields that nobody reads', () => {
    expect(parse({ ...published, resample: 3 }).warnings).toEqual([
      'preprocessor_config.json has fields that are not read: resample.',
    ]);
  });

  it.each([
    ['no num_crops', { num_crops: undefined }, 'CF_FIELD_MISSING', 'num_crops'],
    ['0 crops', { num_crops: 0 }, 'CF_FIELD', 'num_crops'],
    ['65 crops', { num_crops: 65 }, 'CF_FIELD', 'num_crops'],
    ['crops as text', { num_crops: '16' }, 'CF_FIELD', 'num_crops'],
    ['another mean', { image_mean: [0.5, 0.5, 0.5] }, 'CF_UNSUPPORTED', 'image_mean'],
    ['two deviations', { image_std: [0.26862954, 0.26130258] }, 'CF_UNSUPPORTED', 'image_std'],
    ['another number of tokens', { num_img_tokens: 256 }, 'CF_UNSUPPORTED', 'num_img_tokens'],
  ])('%s is an error with its key', (_, changes, code, key) => {
    expect(() => parse({ ...published, ...changes })).toThrow(
      expect.objectContaining({ code, where: { file: 'preprocessor_config.json', key } }),
    );
  });
});
