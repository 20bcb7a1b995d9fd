import type { Defined } from './definition/define.ts';
import type { Check, ErrorMeasure } from './result.ts';

/**
 * Compares every element with its own budget.
 *
 * @param positionOf - the position in the sequence that a row stands for
 */
export function measure(
  got: ArrayLike<number>,
  { exact, budget, width }: Defined,
  reason: string,
  positionOf?: (row: number) => number,
): ErrorMeasure {
  let largestAbsolute = 0;
  let largestRelative = 0;
  let largestShare = 0;
  let worst = 0;
  let squares = 0;
  for (let i = 0; i < exact.length; i++) {
    const expected = exact[i]!;
    squares += expected * expected;
    const error = got[i] === expected ? 0 : Math.abs(got[i]! - expected);
    // A NaN, or an infinity where none is due, is as wrong as can be.
    const absolute = Number.isNaN(error) ? Number.POSITIVE_INFINITY : error;
    const share = absolute === 0 ? 0 : absolute / budget[i]!;
    if (absolute > largestAbsolute) largestAbsolute = absolute;
    if (expected !== 0 && absolute / Math.abs(expected) > largestRelative)
      largestRelative = absolute / Math.abs(expected);
    if (share > largestShare) {
      largestShare = share;
      worst = i;
    }
  }
  return {
    largestAbsolute,
    largestRelative,
    largestShare,
    index: worst,
    position: positionOf?.(Math.floor(worst / width)),
    got: got[worst] ?? Number.NaN,
    expected: exact[worst] ?? Number.NaN,
    budget: budget[worst] ?? 0,
    reason,
    size: Math.sqrt(squares / Math.max(1, exact.length)),
    numElements: exact.length,
  };
}

/** The same with one tolerance for all elements. */
export function measureWithin(
  got: ArrayLike<number>,
  expected: ArrayLike<number>,
  tolerance: number,
  width: number,
  reason: string,
): ErrorMeasure {
  const exact = Float64Array.from(expected);
  return measure(got, { exact, budget: new Float64Array(exact.length).fill(tolerance), width }, reason);
}

/** Both of one block, the worse one shown. */
export function worseOf(a: ErrorMeasure | undefined, b: ErrorMeasure): ErrorMeasure {
  if (!a) return b;
  const worse = b.largestShare > a.largestShare ? b : a;
  return {
    ...worse,
    largestAbsolute: Math.max(a.largestAbsolute, b.largestAbsolute),
    largestRelative: Math.max(a.largestRelative, b.largestRelative),
    numElements: a.numElements + b.numElements,
  };
}

export function checkOf(name: string, error: ErrorMeasure, layer?: number): Check {
  const passed = error.largestShare <= 1;
  return { name, layer, status: passed ? 'passed' : 'failed', error, detail: describe(error) };
}

export function passed(name: string, detail: string, layer?: number): Check {
  return { name, layer, status: 'passed', detail };
}

export function failed(name: string, detail: string, layer?: number): Check {
  return { name, layer, status: 'failed', detail };
}

function describe(error: ErrorMeasure): string {
  const { largestAbsolute, largestRelative, largestShare, index, position, got, expected, budget, numElements } = error;
  const extent = `largest error ${figure(largestAbsolute)} absolute, ${figure(largestRelative)} relative`;
  if (largestShare <= 1) return `${extent}, ${percent(largestShare)} of the budget, over ${numElements} numbers`;
  const where = position === undefined ? `element ${index}` : `element ${index}, position ${position}`;
  return `${extent}; ${where}: got ${number(got)}, expected ${number(expected)}, budget ${figure(budget)}`;
}

/** Two digits are enough of an error. */
export function figure(value: number): string {
  if (value === 0) return '0';
  if (value >= 0.1 && value < 99.5) return String(Number(value.toPrecision(2)));
  return value.toExponential(1).replace('e+', 'e');
}

export function number(value: number): string {
  return Number.isFinite(value) ? String(Number(value.toPrecision(7))) : String(value);
}

function percent(share: number): string {
  return share < 0.005 ? 'under 1 %' : `${Math.round(100 * share)} %`;
}
