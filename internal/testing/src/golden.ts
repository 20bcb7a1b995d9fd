import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type GoldenCase, parseGoldenCase } from './golden-case.ts';
import { sharedPath } from './shared.ts';

/** Reads a case of `shared/goldens`. */
export function loadGolden(name: string): GoldenCase {
  const path = sharedPath('goldens', name);
  const config = join(path, 'config.json');
  return parseGoldenCase(name, path, {
    caseJson: readFileSync(join(path, 'case.json'), 'utf8'),
    // A Buffer's `slice` shares its memory, that of a Uint8Array does not.
    expected: new Uint8Array(readFileSync(join(path, 'expected.safetensors'))),
    configJson: existsSync(config) ? readFileSync(config, 'utf8') : undefined, // block cases have no model
  });
}
