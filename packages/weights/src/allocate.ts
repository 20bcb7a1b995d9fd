import { Phi3Error } from '@phiblocks/tensor';

/**
 * Allocates bytes whose number has been checked against bytes that exist. Engines throw a plain `RangeError` when memory is
 * short or an array would be longer than they allow.
 */
export function allocateBytes(sizeInBytes: number, where: { file: string; tensor?: string }): Uint8Array<ArrayBuffer> {
  try {
    return new Uint8Array(sizeInBytes);
  } catch (cause) {
    throw new Phi3Error({
      code: 'OOM',
      function: 'read',
      expected: 'memory for the bytes that were asked for',
      got: `no room for ${sizeInBytes} bytes`,
      where,
      hint: 'Free memory first, or read the tensor in parts through its offset',
      cause,
    });
  }
}
