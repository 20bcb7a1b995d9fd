import { Phi3Error } from '@phiblocks/tensor';
import type { HubErrorCode } from './error-codes.ts';

/** Which files of a repository to take. */
export interface FileChoice {
  readonly repository: string;
  readonly subfolder: string | undefined;
  /** Which GGUF file, see {@link ModelReference}. */
  readonly choice: string | undefined;
  /** Exactly these, by their paths within the subfolder, instead of what a checkpoint needs. */
  readonly files: readonly string[] | undefined;
  /** False leaves out safetensors weights; a GGUF file holds everything and is taken whole. */
  readonly weights: boolean;
}

/** What to take of a repository. */
export interface ChosenFiles {
  readonly format: 'safetensors' | 'gguf' | 'files';
  /** Paths within the repository. */
  readonly names: readonly string[];
  /** For `gguf`: the parts of the model, in order; one for a model in one file. */
  readonly ggufParts: readonly string[];
}

/** What stands beside the weights of a member of the family; what a repository does not have is not missed. */
export const descriptionFiles = [
  'config.json',
  'generation_config.json',
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'added_tokens.json',
  'chat_template.jinja',
  'cl100k_base.tiktoken',
  'preprocessor_config.json',
  'processor_config.json',
] as const;

export const singleFile = 'model.safetensors';
export const indexFile = 'model.safetensors.index.json';

/**
 * Chooses the files of a checkpoint from what a repository has: with a choice the GGUF model that it names; else the
 * descriptions with `model.safetensors`, or with the index (which names the shards); else the GGUF model when there is only one.
 *
 * @param listed - paths of all files
 * @throws Phi3Error `HUB_FILE_CHOICE`, `HUB_NO_WEIGHTS`, `HUB_FILE_NOT_FOUND`
 */
export function chooseFiles(listed: readonly string[], choice: FileChoice): ChosenFiles {
  const prefix = choice.subfolder === undefined ? '' : `${choice.subfolder}/`;
  const all = new Set(listed);
  if (choice.files !== undefined) {
    const names = choice.files.map((name) => prefix + name);
    const missing = names.filter((name) => !all.has(name));
    if (missing.length > 0) {
      throw fault(
        'HUB_FILE_NOT_FOUND',
        choice,
        'files',
        'files that the repository has',
        `no ${missing.join(', no ')}`,
      );
    }
    return { format: 'files', names, ggufParts: [] };
  }

  const within = listed.filter((name) => name.startsWith(prefix));
  const models = ggufModels(within);
  if (choice.choice !== undefined) return chooseGguf(models, choice, prefix);

  // Weights in other folders (a copy for another program, say) are not of this checkpoint.
  const beside = (name: string): boolean => all.has(prefix + name);
  const descriptions = descriptionFiles.filter(beside).map((name) => prefix + name);
  if (!choice.weights && descriptions.length > 0) return { format: 'files', names: descriptions, ggufParts: [] };
  if (beside(singleFile) || beside(indexFile)) {
    const weights = prefix + (beside(singleFile) ? singleFile : indexFile);
    return { format: 'safetensors', names: [...descriptions, weights], ggufParts: [] };
  }
  if (models.length === 1) return gguf(models[0]!);
  if (models.length > 1) {
    throw fault('HUB_FILE_CHOICE', choice, 'model', `a choice, as in ${choice.repository}:Q4_K_M`, listOf(models));
  }
  throw fault(
    'HUB_NO_WEIGHTS',
    choice,
    'model',
    `${singleFile}, ${indexFile} or .gguf files`,
    `none among ${within.length} files`,
  );
}

/** A model as GGUF: one file, or the numbered parts of one. */
interface GgufModel {
  /** The file name without folder, number and ending. */
  readonly name: string;
  readonly parts: readonly string[];
  /** How many parts the names speak of. */
  readonly count: number;
}

function ggufModels(names: readonly string[]): GgufModel[] {
  const models = new Map<string, { name: string; parts: string[]; count: number }>();
  for (const path of [...names].sort()) {
    if (!path.toLowerCase().endsWith('.gguf')) continue;
    const stem = path.slice(0, -'.gguf'.length);
    const [, whole = stem, count] = /^(.*)-\d{5}-of-(\d{5})$/.exec(stem) ?? [];
    const key = count === undefined ? stem : `${whole} of ${count}`;
    const model = models.get(key) ?? { name: whole, parts: [], count: Number(count ?? 1) };
    models.set(key, model);
    model.parts.push(path);
  }
  return [...models.values()];
}

function chooseGguf(models: readonly GgufModel[], choice: FileChoice, prefix: string): ChosenFiles {
  const wanted = choice.choice!;
  const exact = models.filter(({ parts }) => parts.some((part) => part === prefix + wanted || part === wanted));
  // Projectors of vision models lie beside the models and carry their names; they are meant only by their whole name.
  const byPart = models.filter(
    ({ name }) => !/(^|[/-])mmproj/i.test(name) && hasPart(name.slice(prefix.length), wanted),
  );
  const found = exact.length > 0 ? exact : byPart;
  if (found.length === 1) return gguf(found[0]!, choice);
  const what = found.length === 0 ? models : found;
  throw fault(
    'HUB_FILE_CHOICE',
    choice,
    'model',
    `one GGUF model for :${wanted}`,
    found.length === 0 ? `none; there is ${listOf(what)}` : `${found.length}: ${listOf(what)}`,
  );
}

/** Whether `part` stands in a name between `-`, `.`, `/`, its beginning and its end, in letters of either case. */
function hasPart(name: string, part: string): boolean {
  const text = name.toLowerCase();
  const wanted = part.toLowerCase();
  const isEdge = (character: string | undefined): boolean => character === undefined || '-./'.includes(character);
  for (let at = text.indexOf(wanted); at >= 0; at = text.indexOf(wanted, at + 1)) {
    if (isEdge(text[at - 1]) && isEdge(text[at + wanted.length])) return true;
  }
  return false;
}

function gguf(model: GgufModel, choice?: FileChoice): ChosenFiles {
  if (model.parts.length !== model.count) {
    throw fault(
      'HUB_FILE_CHOICE',
      choice,
      'model',
      `all ${model.count} parts of ${model.name}`,
      model.parts.join(', '),
    );
  }
  return { format: 'gguf', names: model.parts, ggufParts: model.parts };
}

/** A repository may have any number of files; an error is one line. */
const mostListed = 50;

function listOf(models: readonly GgufModel[]): string {
  if (models.length === 0) return 'no .gguf file';
  const names = models.map(({ parts }) =>
    parts.length === 1 ? parts[0]! : `${parts[0]} and ${parts.length - 1} more`,
  );
  const more = names.length - mostListed;
  return more > 0 ? `${names.slice(0, mostListed).join(', ')} and ${more} more` : names.join(', ');
}

function fault(
  code: HubErrorCode,
  choice: FileChoice | undefined,
  argument: string,
  expected: string,
  got: string,
): Phi3Error {
  // The list goes into `expected`'s sentence whole: what is shown of `got` is shortened, and a list is of use only whole.
  return new Phi3Error<HubErrorCode>({
    code,
    function: 'fetchCheckpoint',
    argument,
    expected: `${expected}; found ${got}`,
    where: choice === undefined ? {} : { file: choice.repository },
  });
}
