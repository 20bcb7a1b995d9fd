/** Codes that this package adds to `ARGUMENT`, `SHAPE` and `OPTION_UNKNOWN`. */
export const quantizationErrorCodes = {
  WEIGHT_NOT_FINITE: 'A weight or an activation is NaN or an infinity, which no scale can stand for.',
  SCALE_OVERFLOW: 'A scale, a minimum or a weight is too large for the float type that the format stores it in.',
  PACKED_LAYOUT: 'The packed tensors of an AWQ or GPTQ layer do not belong together, or hold what the layout forbids.',
  STATISTICS_EMPTY: 'Statistics of a calibration run were asked for before it saw a token.',
  UNSUPPORTED: 'The layout exists, but this package does not read it.',
} as const;

/** A code of {@link quantizationErrorCodes}. */
export type QuantizationErrorCode = keyof typeof quantizationErrorCodes;
