import { withBase } from 'vitepress';

/** The files of nano-mini, which lie beside the playground. */
export type NanoMiniFile =
  | 'config.json'
  | 'generation_config.json'
  | 'model.safetensors'
  | 'tokenizer.json'
  | 'tokenizer_config.json';

/**
 * Fetches one file of nano-mini from the site. `model.safetensors` has 4.7 MB: only when a person asked for it.
 *
 * @throws Error when the server does not have it
 */
export async function nanoMiniFile(name: NanoMiniFile): Promise<Uint8Array> {
  const response = await fetch(withBase(`/playground-app/models/nano-mini/${name}`));
  if (!response.ok) throw new Error(`${name} of nano-mini could not be fetched: status ${response.status}`);
  return new Uint8Array(await response.arrayBuffer());
}
