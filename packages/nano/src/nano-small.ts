import type { NanoModelFiles } from './files.ts';

/** The files of nano-small. */
export const files: NanoModelFiles = {
  'config.json': new URL('../models/nano-small/config.json', import.meta.url),
  'generation_config.json': new URL('../models/nano-small/generation_config.json', import.meta.url),
  'model.safetensors': new URL('../models/nano-small/model.safetensors', import.meta.url),
  'tokenizer.json': new URL('../models/nano-small/tokenizer.json', import.meta.url),
  'tokenizer_config.json': new URL('../models/nano-small/tokenizer_config.json', import.meta.url),
};
