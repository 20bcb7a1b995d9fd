import { Phi3Error } from '@phiblocks/tensor';
import type { WeightsErrorCode } from '../error-codes.ts';

/** Names that Windows gives to devices, with any extension. */
const windowsDevice = /^(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\.|$)/i;

/**
 * Checks the path of a shard as an index gives it: relative, segments of letters, digits, dot, underscore and hyphen joined
 * by `/`, ending in `.safetensors`. So no scheme, drive, backslash, percent sign, space or control character can pass, and
 * nothing is left to decode.
 *
 * @param path - a value of `weight_map`
 * @param where - the index file and the tensor it is listed for
 * @throws Phi3Error `IX_PATH_TRAVERSAL` when it contains a segment `..`, also percent-encoded; `IX_SHARD_NAME` for
 * anything else that is not allowed
 */
export function checkShardName(path: unknown, where: { file: string; tensor: string }): string {
  if (typeof path !== 'string') throw fault('IX_SHARD_NAME', 'the name of a file', path, where);
  if (leadsOut(path) || leadsOut(decodedOnce(path))) {
    throw fault('IX_PATH_TRAVERSAL', 'a path that stays in the folder of the index', path, where);
  }
  const isPlain =
    path.length <= 1024 &&
    path.endsWith('.safetensors') &&
    path.split('/').every((segment) => {
      return /^[A-Za-z0-9._-]{1,255}$/.test(segment) && !segment.endsWith('.') && !windowsDevice.test(segment);
    });
  if (!isPlain) {
    throw fault('IX_SHARD_NAME', 'letters, digits, dot, underscore and hyphen, ending in .safetensors', path, where);
  }
  return path;
}

function leadsOut(path: string): boolean {
  return path.split(/[/\\]/).some((segment) => segment.replaceAll(' ', '') === '..');
}

/** Only to name the fault: a path with a percent sign is refused in any case. */
function decodedOnce(path: string): string {
  return path.replace(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}

function fault(
  code: WeightsErrorCode,
  expected: string,
  got: unknown,
  where: { file: string; tensor: string },
): Phi3Error {
  return new Phi3Error({ code, function: 'openShardedSafetensors', expected, got, where });
}
