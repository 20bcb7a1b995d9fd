/** More parts than any split model has; a name is not to make a page ask for 99,999 files. */
const mostParts = 1000;

/**
 * The names of all parts of a split GGUF model by the name of one, `…-00002-of-00003.gguf`; the name itself where it is not
 * one of a split model.
 */
export function splitGgufNames(name: string): string[] {
  const [, stem, count, ending] = /^(.*)-\d{5}-of-(\d{5})(\.gguf)$/i.exec(name) ?? [];
  const numParts = Number(count);
  if (stem === undefined || !(numParts >= 1 && numParts <= mostParts)) return [name];
  return Array.from(
    { length: numParts },
    (_, index) => `${stem}-${String(index + 1).padStart(5, '0')}-of-${count}${ending}`,
  );
}
