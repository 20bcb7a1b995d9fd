import { isPhi3Error, Phi3Error } from '@phiblocks/tensor';
import type { WeightsErrorCode } from '../error-codes.ts';

/** What the operating system says, as an error of this package; its own error stays as the cause. */
export function fileError(cause: unknown, functionName: string, path: string, otherwise: WeightsErrorCode): Error {
  if (isPhi3Error(cause)) return cause;
  const systemCode = (cause as { code?: unknown } | null)?.code;
  const [code, hint] = meaningOf(systemCode, otherwise);
  return new Phi3Error<WeightsErrorCode>({
    code,
    function: functionName,
    got: typeof systemCode === 'string' ? systemCode : String(cause),
    where: { file: path },
    hint,
    cause,
  });
}

function meaningOf(systemCode: unknown, otherwise: WeightsErrorCode): [WeightsErrorCode, string | undefined] {
  switch (systemCode) {
    case 'ENOENT':
    case 'ENOTDIR':
      return ['FILE_NOT_FOUND', undefined];
    case 'EISDIR':
      return ['FILE_NOT_REGULAR', undefined];
    case 'ELOOP':
      return ['IX_SYMLINK', 'The path is a link, or was made one while it was opened'];
    case 'ENOSPC':
    case 'EDQUOT':
      return ['DISK_FULL', 'Free space and write again'];
    case 'EACCES':
    case 'EPERM':
      return [otherwise, 'Check the permissions of the file and its folder'];
    default:
      return [otherwise, undefined];
  }
}
