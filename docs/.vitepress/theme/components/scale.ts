/** Maps numbers to pixels, linearly or by their logarithm. */
export interface Scale {
  readonly min: number;
  readonly max: number;
  at(value: number): number;
}

export function scaleOf(min: number, max: number, from: number, to: number, isLog = false): Scale {
  const of = (value: number): number => (isLog ? Math.log10(value) : value);
  const span = of(max) - of(min) || 1;
  return { min, max, at: (value) => from + ((of(value) - of(min)) / span) * (to - from) };
}

/** Round numbers between two ends: powers of ten (and where those are few, of two and five between), or steps of 1, 2 and 5. */
export function ticksOf(min: number, max: number, isLog = false): { value: number; label: string }[] {
  const values: number[] = [];
  if (isLog) {
    const decades = Math.log10(max) - Math.log10(min);
    for (let power = Math.floor(Math.log10(min)); power <= Math.ceil(Math.log10(max)); power++) {
      for (const factor of decades < 2.5 ? [1, 2, 5] : [1]) values.push(factor * 10 ** power);
    }
    if (decades > 7)
      return ticks(
        values.filter((_, index) => index % 2 === 0),
        min,
        max,
      );
  } else {
    const step = stepOf(min, max);
    for (let value = Math.ceil(min / step) * step; value <= max + step / 1e6; value += step) values.push(value);
  }
  return ticks(values, min, max);
}

/** The distance of linear ticks: 1, 2 or 5 of a power of ten, about a fifth of the range. */
function stepOf(min: number, max: number): number {
  const rough = (max - min) / 5 || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  return [1, 2, 5, 10].map((factor) => factor * power).find((candidate) => candidate >= rough * (1 - 1e-9))!;
}

/** The end of an axis: the first tick that is not below `max`. */
export function nextTick(min: number, max: number, isLog = false): number {
  if (isLog) {
    const power = 10 ** Math.floor(Math.log10(max));
    const factors = Math.log10(max) - Math.log10(min) < 2.5 ? [1, 2, 5, 10] : [1, 10];
    return factors.map((factor) => factor * power).find((tick) => tick >= max * (1 - 1e-9))!;
  }
  const step = stepOf(min, max);
  return Math.ceil(max / step - 1e-9) * step;
}

function ticks(values: readonly number[], min: number, max: number): { value: number; label: string }[] {
  const slack = Math.abs(max - min) / 1e9;
  const shown = values.filter((value) => value >= min - slack && value <= max + slack);
  // An axis writes its thousands in one way.
  const isInThousands = shown.some((value) => Math.abs(value) >= 1e4);
  const label = (value: number): string =>
    isInThousands && Math.abs(value) >= 1e3 && Math.abs(value) < 1e4
      ? withMinus(`${round(value / 1e3)}k`)
      : shortNumber(value);
  return shown.map((value) => ({ value, label: label(value) }));
}

/** 1,500,000 → 1.5M, 1500 → 1,500, -0.2 → −0.2 */
export function shortNumber(value: number): string {
  const size = Math.abs(value);
  if (size !== 0 && size < 1e-3) return formatSignificant(value, 1);
  if (size >= 1e9) return withMinus(`${round(value / 1e9)}G`);
  if (size >= 1e6) return withMinus(`${round(value / 1e6)}M`);
  if (size >= 1e4) return withMinus(`${round(value / 1e3)}k`);
  return withMinus(round(value).toLocaleString('en-US', { maximumFractionDigits: 6 }));
}

/** A number with a few significant digits, without e: 0.0104801 → 0.0105, 1.455e-10 → 1.46 × 10⁻¹⁰. */
export function formatSignificant(value: number, digits: number): string {
  if (value === 0) return '0';
  if (Math.abs(value) >= 1e-4) return withMinus(String(Number(value.toPrecision(digits))));
  const [mantissa, exponent] = value.toExponential(digits - 1).split('e') as [string, string];
  const raised = [...exponent].map((sign) => '⁻⁰¹²³⁴⁵⁶⁷⁸⁹'['-0123456789'.indexOf(sign)]).join('');
  return withMinus(`${mantissa} × 10${raised}`);
}

/** The minus of print for that of programs, where a number begins with it. */
export function withMinus(text: string): string {
  return text.replace(/^-/, '−');
}

function round(value: number): number {
  return Number(value.toPrecision(4));
}

const byteUnits = ['B', 'KiB', 'MiB', 'GiB', 'TiB'] as const;

/** The unit that reads best for as many bytes, and its size. */
export function byteUnitOf(bytes: number): { name: string; sizeInBytes: number } {
  let unit = 0;
  while (bytes >= 1024 ** (unit + 1) && unit < byteUnits.length - 1) unit++;
  return { name: byteUnits[unit]!, sizeInBytes: 1024 ** unit };
}

/** Bytes in the unit that reads best, or in one that is given: 402,653,184 → 384 MiB. */
export function formatBytes(bytes: number, unit = byteUnitOf(bytes)): string {
  const value = bytes / unit.sizeInBytes;
  return `${value.toLocaleString('en-US', { maximumSignificantDigits: 3, useGrouping: false })} ${unit.name}`;
}
