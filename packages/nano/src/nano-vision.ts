import type { NanoModelFiles } from './files.ts';

/** The files of nano-vision. */
export const files: NanoModelFiles = {
  'config.json': new URL('../models/nano-vision/config.json', import.meta.url),
  'generation_config.json': new URL('../models/nano-vision/generation_config.json', import.meta.url),
  'model.safetensors': new URL('../models/nano-vision/model.safetensors', import.meta.url),
  'preprocessor_config.json': new URL('../models/nano-vision/preprocessor_config.json', import.meta.url),
  'tokenizer.json': new URL('../models/nano-vision/tokenizer.json', import.meta.url),
  'tokenizer_config.json': new URL('../models/nano-vision/tokenizer_config.json', import.meta.url),
};
