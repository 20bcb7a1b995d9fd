import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Phi3Error } from '@phiblocks/tensor';

/** `@scope/package/checkpoint`: no path begins like this by chance, and no file of that name was there. */
const packagedCheckpoint = /^(@[a-z0-9~-][a-z0-9._~-]*\/[a-z0-9~-][a-z0-9._~-]*)\/([A-Za-z0-9][A-Za-z0-9._-]*)$/;

/**
 * Finds a checkpoint that an npm package brings: `@phiblocks/nano/nano-mini` is the folder `models/nano-mini` of the package
 * `@phiblocks/nano`. The package is looked for from the folder where the program runs, then from where this package or `from`
 * is installed. Nothing is read but folders.
 *
 * @param name - what was given as the path of a checkpoint, when nothing is there
 * @param from - address of the module that brings the package along, for one that depends on it
 * @returns the folder, or undefined when the name is not of this form
 * @throws Phi3Error `CHECKPOINT_PACKAGE_MISSING` when the package is not installed or has no such checkpoint
 * @example
 * locatePackagedCheckpoint('models/phi-3-mini'); // => undefined
 */
export function locatePackagedCheckpoint(name: string, from: string = import.meta.url): string | undefined {
  const [, packageName, checkpoint] = packagedCheckpoint.exec(name) ?? [];
  if (packageName === undefined || checkpoint === undefined) return undefined;
  const file = `${packageName}/models/${checkpoint}/config.json`;
  let cause: unknown;
  for (const place of [pathToFileURL(join(process.cwd(), 'package.json')), from]) {
    try {
      return dirname(createRequire(place).resolve(file));
    } catch (error) {
      cause = error;
    }
  }
  throw new Phi3Error({
    code: 'CHECKPOINT_PACKAGE_MISSING',
    function: 'openCheckpoint',
    expected: `the checkpoint ${checkpoint} in the package ${packageName}`,
    got: name,
    hint: `Install it: npm install ${packageName}`,
    cause,
  });
}
