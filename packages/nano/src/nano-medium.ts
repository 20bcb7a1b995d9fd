import type { NanoModelFiles } from './files.ts';

/** The files of nano-medium. */
export const files: NanoModelFiles = {
  'config.json': new URL('../models/nano-medium/config.json', import.meta.url),
  'generation_config.json': new URL('../models/nano-medium/generation_config.json', import.meta.url),
  'model.safetensors': new URL('../models/nano-medium/model.safetensors', import.meta.url),
  'tokenizer.json': new URL('../models/nano-medium/tokenizer.json', import.meta.url),
  'tokenizer_config.json': new URL('../models/nano-medium/tokenizer_config.json', import.meta.url),
};
