import { lstat, readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** Three short lines; what is longer is none. */
const largestRecordInBytes = 1024;

/**
 * Of which commit each file is, where the download tool of the Hugging Face hub has left its records:
 * `.cache/huggingface/download/<file>.metadata` with the lines commit, ETag and time of download in seconds. A record older
 * than its file says nothing, for the file was changed afterwards (the tool itself judges so, with a second to spare).
 *
 * @param root - folder of the checkpoint
 * @param names - files to look up
 */
export async function readCacheRevisions(root: string, names: readonly string[]): Promise<Map<string, string>> {
  const revisions = new Map<string, string>();
  for (const name of names) {
    const record = join(root, '.cache', 'huggingface', 'download', `${name}.metadata`);
    try {
      const stats = await lstat(record);
      if (!stats.isFile() || stats.size > largestRecordInBytes) continue;
      const [commit = '', , seconds = ''] = (await readFile(record, 'utf8')).split('\n');
      const isOlderThanFile = Number(seconds) * 1000 < (await lstat(join(root, name))).mtimeMs - 1000;
      if (/^[0-9a-f]{40}$/.test(commit) && !isOlderThanFile) revisions.set(name, commit);
    } catch {
      // No record, or none that can be read: nothing is known about this file, which is the usual case.
    }
  }
  return revisions;
}
