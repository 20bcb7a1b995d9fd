import type { NanoModelFiles } from './files.ts';

/** The files of nano-mini-long. */
export const files: NanoModelFiles = {
  'config.json': new URL('../models/nano-mini-long/config.json', import.meta.url),
  'generation_config.json': new URL('../models/nano-mini-long/generation_config.json', import.meta.url),
  'model.safetensors': new URL('../models/nano-mini-long/model.safetensors', import.meta.url),
  'tokenizer.json': new URL('../models/nano-mini-long/tokenizer.json', import.meta.url),
  'tokenizer_config.json': new URL('../models/nano-mini-long/tokenizer_config.json', import.meta.url),
};
