/** Bytes of the longest name accepted. Real names stay below 100. */
export const maxNameSizeInBytes = 1024;

/** What is wrong with the name of a tensor, or undefined: too long, or characters that could forge a line of a log. */
export function faultOfTensorName(name: string): string | undefined {
  if (sizeInBytesExceeds(name, maxNameSizeInBytes)) {
    return `a name of at most ${maxNameSizeInBytes} bytes`;
  }
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are the characters to find
  if (/[\u0000-\u001f\u007f-\u009f]/.test(name)) return 'a name without control characters';
  return undefined;
}

/** A UTF-16 unit becomes 1 to 3 bytes of UTF-8, so most texts need not be encoded to know. */
function sizeInBytesExceeds(text: string, limit: number): boolean {
  if (text.length > limit) return true;
  return text.length * 3 > limit && new TextEncoder().encode(text).length > limit;
}
