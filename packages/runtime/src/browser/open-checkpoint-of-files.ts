import { Phi3Error } from '@phiblocks/tensor';
import { createBlobSource } from '@phiblocks/weights';
import { type Checkpoint, openCheckpointFiles, openGgufCheckpoint } from '../checkpoint.ts';
import { splitGgufNames } from './split-gguf-names.ts';

/** A file by name: a dropped `File` is one. */
export interface NamedBlob {
  /** The file name; of a path only the last part counts. */
  readonly name: string;
  readonly blob: Blob;
}

/**
 * Opens a checkpoint of files that somebody dropped or chose: one `.gguf` file, all parts of a split one, or the files of a
 * folder in the published layout. They are read in slices; none is held whole.
 *
 * @throws Phi3Error `CHECKPOINT_FILE_MISSING` where something is not among the files; `CHECKPOINT_FILES` where two have one
 * name or belong to several models; the codes of `openGgufCheckpoint` and `openCheckpointFiles`
 */
export async function openCheckpointOfFiles(files: readonly (File | NamedBlob)[]): Promise<Checkpoint> {
  const byName = new Map<string, Blob>();
  for (const file of files) {
    const name = file.name.split(/[/\\]/).at(-1)!;
    if (byName.has(name)) throw filesError('one file of each name', name);
    byName.set(name, 'blob' in file ? file.blob : file);
  }
  const ggufNames = [...byName.keys()].filter((name) => name.toLowerCase().endsWith('.gguf'));
  if (ggufNames.length > 0) {
    const parts = splitGgufNames(ggufNames[0]!);
    const other = ggufNames.find((name) => !parts.includes(name));
    if (other !== undefined) throw filesError(`files of one model, that of ${ggufNames[0]}`, other);
    const missing = parts.filter((name) => !byName.has(name));
    if (missing.length > 0) throw missingFiles(missing, ggufNames[0]!);
    return openGgufCheckpoint(parts.map((name) => createBlobSource(byName.get(name)!, name)));
  }
  return openCheckpointFiles({
    name: 'the chosen files',
    async open(name) {
      const blob = byName.get(name);
      return blob && createBlobSource(blob, name);
    },
  });
}

function filesError(expected: string, got: string): Phi3Error {
  return new Phi3Error({ code: 'CHECKPOINT_FILES', function: 'openCheckpointOfFiles', expected, got });
}

function missingFiles(missing: readonly string[], file: string): Phi3Error {
  return new Phi3Error({
    code: 'CHECKPOINT_FILE_MISSING',
    function: 'openCheckpointOfFiles',
    expected: 'all parts of the split model',
    got: `without ${missing.join(', ')}`,
    where: { file },
  });
}
