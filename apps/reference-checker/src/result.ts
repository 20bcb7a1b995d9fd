/** What one comparison found. */
export interface Check {
  /** The block, file, tensor or format that was checked: what a person is told to look at. */
  readonly name: string;
  readonly status: 'passed' | 'failed';
  /** Decoder or tower layer, where it has one. */
  readonly layer?: number | undefined;
  /** In a sentence: what was found. */
  readonly detail: string;
  readonly error?: ErrorMeasure | undefined;
}

/** How far an implementation is from its definition, and how far it may be. */
export interface ErrorMeasure {
  readonly largestAbsolute: number;
  /** Largest of |error| / |value| over values that are not zero. */
  readonly largestRelative: number;
  /** Largest of |error| / budget. Above 1 something is wrong. */
  readonly largestShare: number;
  /** Where the share is largest: element, its position in the sequence, and the numbers there. */
  readonly index: number;
  readonly position?: number | undefined;
  readonly got: number;
  readonly expected: number;
  readonly budget: number;
  /** Where the budget comes from. */
  readonly reason: string;
  /** Root mean square of the expected values. */
  readonly size: number;
  readonly numElements: number;
}

export type SuiteName =
  | 'files'
  | 'tokenizer'
  | 'golden'
  | 'blocks'
  | 'logits'
  | 'text'
  | 'cache'
  | 'backends'
  | 'quantization'
  | 'against';

export interface SuiteResult {
  readonly suite: SuiteName;
  readonly status: 'passed' | 'failed' | 'not applicable';
  /** Why it is not applicable, or what it covered. */
  readonly reason: string;
  readonly checks: readonly Check[];
  readonly elapsedMs: number;
  /** What plots are drawn from. */
  readonly figures?: Figures | undefined;
}

export interface Figures {
  /** Largest share of the budget and largest relative error by layer and block. */
  readonly blocks?: readonly BlockFigure[];
  /** Largest error, relative to the size of the block, by position. */
  readonly positions?: readonly PositionFigure[];
  readonly boundary?: number | undefined;
  /** Differences of logits, for a histogram. */
  readonly logitDifferences?: readonly LogitDifferences[];
  readonly backends?: readonly BackendFigure[];
  readonly formats?: readonly FormatFigure[];
}

export interface BlockFigure {
  readonly layer: string;
  readonly block: string;
  readonly share: number;
  readonly relative: number;
}

export interface PositionFigure {
  readonly position: number;
  readonly block: string;
  readonly relative: number;
}

export interface LogitDifferences {
  readonly label: string;
  readonly differences: readonly number[];
}

export interface BackendFigure {
  readonly backend: string;
  readonly threads: number;
  readonly acceleration: string;
  readonly largestDifference: number;
  readonly budget: number;
  readonly klDivergence: number;
  readonly top1Agreement: number;
  readonly status: 'passed' | 'failed';
  readonly note: string;
}

export interface FormatFigure {
  readonly format: string;
  readonly bitsPerWeight: number;
  readonly klDivergence: number;
  readonly top1Agreement: number;
  readonly perplexity: number;
  readonly referencePerplexity: number;
}

export interface Report {
  readonly version: 1;
  readonly model: string;
  readonly description: string;
  readonly fingerprint: string;
  readonly startedAt: string;
  readonly elapsedMs: number;
  readonly environment: { readonly node: string; readonly platform: string; readonly threads: number };
  readonly status: 'passed' | 'failed' | 'nothing checked';
  readonly suites: readonly SuiteResult[];
  readonly peakMemoryInBytes: number;
}

export function suiteStatus(checks: readonly Check[]): 'passed' | 'failed' | 'not applicable' {
  if (checks.length === 0) return 'not applicable';
  return checks.some(({ status }) => status === 'failed') ? 'failed' : 'passed';
}

/** 0 when all holds, 1 when something falls short, 3 when nothing could be checked. */
export function exitStatus({ status }: Pick<Report, 'status'>): number {
  return status === 'passed' ? 0 : status === 'failed' ? 1 : 3;
}

export function reportStatus(suites: readonly SuiteResult[]): Report['status'] {
  if (suites.some(({ status }) => status === 'failed')) return 'failed';
  return suites.some(({ status }) => status === 'passed') ? 'passed' : 'nothing checked';
}
