import type { NanoModelFiles } from './files.ts';

/** The files of nano-mini. */
export const files: NanoModelFiles = {
  'config.json': new URL('../models/nano-mini/config.json', import.meta.url),
  'generation_config.json': new URL('../models/nano-mini/generation_config.json', import.meta.url),
  'model.safetensors': new URL('../models/nano-mini/model.safetensors', import.meta.url),
  'tokenizer.json': new URL('../models/nano-mini/tokenizer.json', import.meta.url),
  'tokenizer_config.json': new URL('../models/nano-mini/tokenizer_config.json', import.meta.url),
};
