import type { NanoModelFiles } from './files.ts';

/** The files of nano-moe. */
export const files: NanoModelFiles = {
  'config.json': new URL('../models/nano-moe/config.json', import.meta.url),
  'generation_config.json': new URL('../models/nano-moe/generation_config.json', import.meta.url),
  'model.safetensors': new URL('../models/nano-moe/model.safetensors', import.meta.url),
  'tokenizer.json': new URL('../models/nano-moe/tokenizer.json', import.meta.url),
  'tokenizer_config.json': new URL('../models/nano-moe/tokenizer_config.json', import.meta.url),
};
