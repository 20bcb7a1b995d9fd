import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * Writes the Python program that records every intermediate of published weights.
 *
 * @param folder - in which `reference/export_reference.py` is made
 * @returns where it is
 */
export async function exportReference(folder: string): Promise<string> {
  const program = await readFile(new URL('../reference/export_reference.py', import.meta.url));
  const path = join(folder, 'reference', 'export_reference.py');
  await mkdir(join(folder, 'reference'), { recursive: true });
  await writeFile(path, program);
  return path;
}
