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
    const rough = (max - min) / 5 || 1;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((factor) => factor * power).find((candidate) => candidate >= rough)!;
    for (let value = Math.ceil(min / step) * step; value <= max + step / 1e6; value += step) values.push(value);
  }
  return ticks(values, min, max);
}

function ticks(values: readonly number[], min: number, max: number): { value: number; label: string }[] {
  const slack = Math.abs(max - min) / 1e9;
  return values
    .filter((value) => value >= min - slack && value <= max + slack)
    .map((value) => ({ value, label: shortNumber(value) }));
}

/** 1,500,000 → 1.5M, 1500 → 1,500 */
export function shortNumber(value: number): string {
  const size = Math.abs(value);
  if (size >= 1e9) return `${round(value / 1e9)}G`;
  if (size >= 1e6) return `${round(value / 1e6)}M`;
  if (size >= 1e4) return `${round(value / 1e3)}k`;
  if (size !== 0 && size < 1e-3) return value.toExponential(0);
  return round(value).toLocaleString('en-US', { maximumFractionDigits: 6 });
}

function round(value: number): number {
  return Number(value.toPrecision(4));
}

/** Bytes in the unit that reads best: 402,653,184 → 384 MiB. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let unit = 0;
  let value = bytes;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${value.toLocaleString('en-US', { maximumSignificantDigits: 3, useGrouping: false })} ${units[unit]}`;
}
