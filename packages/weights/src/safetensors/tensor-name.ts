/** Bytes of the longest name accepted. Real names stay below 100. */
export const maxNameSizeInBytes = 1024;

/** What is wrong with the name of a tensor, or undefined: too long, or characters that could forge a line of a log. */
export function faultOfTensorName(name: string): string | undefined {
  // A UTF-16 unit needs at least one byte, so a long string is too long without being encoded.
  if (name.length > maxNameSizeInBytes || new TextEncoder().encode(name).length > maxNameSizeInBytes) {
    return `a name of at most ${maxNameSizeInBytes} bytes`;
  }
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are the characters to find
  if (/[\u0000-\u001f\u007f-\u009f]/.test(name)) return 'a name without control characters';
  return undefined;
}
