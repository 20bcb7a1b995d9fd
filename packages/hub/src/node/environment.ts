import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { defaultEndpoint } from '../hub.ts';

/** What the environment says about the hub, by the rules of Python's huggingface_hub. */
export interface HubEnvironment {
  readonly cacheDirectory: string;
  readonly endpoint: string;
  readonly offline: boolean;
  /** From a variable, or read from the file that `hf auth login` writes. */
  readonly token: string | undefined;
}

/** The variables of a process, as in `process.env`. */
export type Variables = Readonly<Record<string, string | undefined>>;

/**
 * Reads the variables that Python's huggingface_hub reads, in its order:
 *
 * - cache: `HF_HUB_CACHE`, `HUGGINGFACE_HUB_CACHE`, `HF_HOME/hub`, `XDG_CACHE_HOME/huggingface/hub`,
 *   `~/.cache/huggingface/hub`;
 * - token: `HF_TOKEN`, `HUGGING_FACE_HUB_TOKEN`, the file `HF_TOKEN_PATH`, the file `token` in `HF_HOME`; none with
 *   `HF_HUB_DISABLE_IMPLICIT_TOKEN`;
 * - `HF_ENDPOINT`; `HF_HUB_OFFLINE` or `TRANSFORMERS_OFFLINE` (1, on, yes, true).
 *
 * `~` and `$NAME` in paths are replaced. A variable that is set to nothing counts as not set.
 *
 * Source: huggingface_hub 1.33, `constants.py` and `utils/_auth.py`.
 *
 * @example
 * (await readHubEnvironment({ HF_ENDPOINT: 'https://mirror.example' })).endpoint; // => 'https://mirror.example'
 */
export async function readHubEnvironment(
  variables: Variables = process.env,
  home: string = homedir(),
): Promise<HubEnvironment> {
  const value = (name: string): string | undefined => variables[name] || undefined;
  const isTrue = (name: string): boolean => ['1', 'ON', 'YES', 'TRUE'].includes((variables[name] ?? '').toUpperCase());
  const path = (text: string): string => expandPath(text, variables, home);

  const cacheHome = value('XDG_CACHE_HOME') ?? join(home, '.cache');
  const hfHome = path(value('HF_HOME') ?? join(cacheHome, 'huggingface'));
  const tokenPath = path(value('HF_TOKEN_PATH') ?? join(hfHome, 'token'));
  const token = isTrue('HF_HUB_DISABLE_IMPLICIT_TOKEN')
    ? undefined
    : (clean(value('HF_TOKEN') ?? value('HUGGING_FACE_HUB_TOKEN')) ??
      clean(await readFile(tokenPath, 'utf8').catch(() => undefined)));
  return {
    cacheDirectory: path(value('HF_HUB_CACHE') ?? value('HUGGINGFACE_HUB_CACHE') ?? join(hfHome, 'hub')),
    endpoint: value('HF_ENDPOINT') ?? defaultEndpoint,
    offline: isTrue(value('HF_HUB_OFFLINE') === undefined ? 'TRANSFORMERS_OFFLINE' : 'HF_HUB_OFFLINE'),
    token,
  };
}

/** `~` at the beginning, `$NAME` and `${NAME}`; a variable that is not set stays as it is written. */
function expandPath(path: string, variables: Variables, home: string): string {
  const expanded = path === '~' || /^~[/\\]/.test(path) ? home + path.slice(1) : path;
  return expanded.replace(/\$(?:\{(\w+)\}|(\w+))/g, (whole, braced?: string, bare?: string) => {
    return variables[braced ?? bare ?? ''] ?? whole;
  });
}

/** A token comes with the line end of its file, and has none within. */
function clean(token: string | undefined): string | undefined {
  return token?.replace(/[\r\n]/g, '').trim() || undefined;
}
