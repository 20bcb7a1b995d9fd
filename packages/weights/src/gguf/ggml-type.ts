/** A tensor type of ggml. */
export interface GgmlType {
  readonly name: string;
  readonly weightsPerBlock: number;
  readonly bytesPerBlock: number;
}

/**
 * The ggml type of an id, or undefined for one that ggml does not have or has retired (4, 5, 31 to 33, 36 to 38).
 *
 * Not all of them can be read as floats; `isWeightFormat(type.name)` says which.
 *
 * Source: `gguf-py/gguf/constants.py` of llama.cpp (ids, and the sizes of the types that this package only lists), save
 * Q8_1, for which that file says 40 bytes and `ggml/src/ggml-common.h`, which is what writes it, 36.
 *
 * @internal
 */
export function ggmlTypeOfId(id: number): GgmlType | undefined {
  switch (id) {
    case 0:
      return ggmlType('F32', 1, 4);
    case 1:
      return ggmlType('F16', 1, 2);
    case 2:
      return ggmlType('Q4_0', 32, 18);
    case 3:
      return ggmlType('Q4_1', 32, 20);
    case 6:
      return ggmlType('Q5_0', 32, 22);
    case 7:
      return ggmlType('Q5_1', 32, 24);
    case 8:
      return ggmlType('Q8_0', 32, 34);
    case 9:
      return ggmlType('Q8_1', 32, 36);
    case 10:
      return ggmlType('Q2_K', 256, 84);
    case 11:
      return ggmlType('Q3_K', 256, 110);
    case 12:
      return ggmlType('Q4_K', 256, 144);
    case 13:
      return ggmlType('Q5_K', 256, 176);
    case 14:
      return ggmlType('Q6_K', 256, 210);
    case 15:
      return ggmlType('Q8_K', 256, 292);
    case 16:
      return ggmlType('IQ2_XXS', 256, 66);
    case 17:
      return ggmlType('IQ2_XS', 256, 74);
    case 18:
      return ggmlType('IQ3_XXS', 256, 98);
    case 19:
      return ggmlType('IQ1_S', 256, 50);
    case 20:
      return ggmlType('IQ4_NL', 32, 18);
    case 21:
      return ggmlType('IQ3_S', 256, 110);
    case 22:
      return ggmlType('IQ2_S', 256, 82);
    case 23:
      return ggmlType('IQ4_XS', 256, 136);
    case 24:
      return ggmlType('I8', 1, 1);
    case 25:
      return ggmlType('I16', 1, 2);
    case 26:
      return ggmlType('I32', 1, 4);
    case 27:
      return ggmlType('I64', 1, 8);
    case 28:
      return ggmlType('F64', 1, 8);
    case 29:
      return ggmlType('IQ1_M', 256, 56);
    case 30:
      return ggmlType('BF16', 1, 2);
    case 34:
      return ggmlType('TQ1_0', 256, 54);
    case 35:
      return ggmlType('TQ2_0', 256, 66);
    case 39:
      return ggmlType('MXFP4', 32, 17);
    case 40:
      return ggmlType('NVFP4', 64, 36);
    case 41:
      return ggmlType('Q1_0', 128, 18);
    default:
      return undefined;
  }
}

function ggmlType(name: string, weightsPerBlock: number, bytesPerBlock: number): GgmlType {
  return { name, weightsPerBlock, bytesPerBlock };
}

/** Every type of ggml with its id. */
function ggmlTypes(): (GgmlType & { readonly id: number })[] {
  return Array.from({ length: 42 }, (_, id) => id).flatMap((id) => {
    const type = ggmlTypeOfId(id);
    return type === undefined ? [] : [{ ...type, id }];
  });
}

/** The type of a name, with its id; undefined for a name that ggml does not have. @internal */
export function ggmlTypeOfName(name: string): (GgmlType & { readonly id: number }) | undefined {
  return ggmlTypes().find((type) => type.name === name);
}

/** Names of all types, for messages. @internal */
export function knownGgmlTypes(): string[] {
  return ggmlTypes().map(({ name }) => name);
}
