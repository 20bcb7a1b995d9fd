/**
 * The files of a model by their names in the published layout. The addresses are `file:` in Node; a bundler turns them into
 * those of its assets.
 */
export interface NanoModelFiles {
  readonly 'config.json': URL;
  readonly 'generation_config.json': URL;
  readonly 'model.safetensors': URL;
  readonly 'tokenizer.json': URL;
  readonly 'tokenizer_config.json': URL;
  /** Of the member that sees pictures only. */
  readonly 'preprocessor_config.json'?: URL | undefined;
}
