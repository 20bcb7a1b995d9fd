import { Phi3Error } from '@phiblocks/tensor';
import { createBlobSource } from '@phiblocks/weights';
import type { Checkpoint } from '../checkpoint.ts';
import { openCheckpointFiles } from '../checkpoint.ts';
import { type NamedBlob, openCheckpointOfFiles } from './open-checkpoint-of-files.ts';
import { splitGgufNames } from './split-gguf-names.ts';

/**
 * What is used of a folder of the origin private file system; a browser's `FileSystemDirectoryHandle` is one. Written out
 * because projects that compile for Node have no types of the browser.
 */
export interface ReadableOpfsFolder {
  getDirectoryHandle(name: string): Promise<ReadableOpfsFolder>;
  getFileHandle(name: string): Promise<{ getFile(): Promise<Blob> }>;
}

/**
 * Opens a checkpoint in the origin private file system of a browser: a folder in the published layout, or a `.gguf` file (of
 * a split model any part).
 *
 * @param path - names separated by `/`, from the root of the file system
 * @param root - default: that of the origin
 * @throws Phi3Error `CHECKPOINT_NOT_FOUND` when there is nothing at the path; `UNSUPPORTED` where a browser has no such file
 * system; otherwise as `openCheckpointOfFiles`
 */
export async function openCheckpointInOpfs(path: string, root?: ReadableOpfsFolder): Promise<Checkpoint> {
  const names = path.split('/').filter((name) => name !== '');
  const last = names.pop();
  let folder: ReadableOpfsFolder = root ?? (await originRoot());
  for (const name of names) folder = (await orAbsent(folder.getDirectoryHandle(name))) ?? notFound(path);
  if (last?.toLowerCase().endsWith('.gguf')) {
    const files: NamedBlob[] = [];
    for (const name of splitGgufNames(last)) {
      const handle = await orAbsent(folder.getFileHandle(name));
      if (handle) files.push({ name, blob: await handle.getFile() });
    }
    return files.length === 0 ? notFound(path) : openCheckpointOfFiles(files);
  }
  const checkpoint =
    last === undefined ? folder : ((await orAbsent(folder.getDirectoryHandle(last))) ?? notFound(path));
  return openCheckpointFiles({
    name: last ?? 'the origin private file system',
    async open(name) {
      const handle = name.includes('/') ? undefined : await orAbsent(checkpoint.getFileHandle(name));
      return handle && createBlobSource(await handle.getFile(), name);
    },
  });
}

async function originRoot(): Promise<ReadableOpfsFolder> {
  try {
    return await navigator.storage.getDirectory();
  } catch (cause) {
    throw new Phi3Error({
      code: 'UNSUPPORTED',
      function: 'openCheckpointInOpfs',
      expected: 'a browser and a page (https, not private) with an origin private file system',
      cause,
    });
  }
}

async function orAbsent<Handle>(found: Promise<Handle>): Promise<Handle | undefined> {
  try {
    return await found;
  } catch (error) {
    const name = error instanceof Error ? error.name : '';
    if (name === 'NotFoundError' || name === 'TypeMismatchError' || name === 'TypeError') return undefined;
    throw error;
  }
}

function notFound(path: string): never {
  throw new Phi3Error({
    code: 'CHECKPOINT_NOT_FOUND',
    function: 'openCheckpointInOpfs',
    expected: 'a checkpoint folder or a .gguf file',
    got: path,
    where: { file: path },
  });
}
