import type { FactorSearchSettings } from './factor-search-options.ts';
import type { SeededRandom } from './seeded-random.ts';

/**
 * A list of factors on the grid: factor i is 1 + steps[i] · listStep. Two individuals are the same when their steps are; the
 * published code says so of factors that numpy's `allclose` finds equal, which on its grid is the same.
 */
export interface Individual {
  readonly steps: readonly number[];
  /** α and β of `dim_piece_mono`. */
  readonly piece: readonly [alpha: number, beta: number];
}

/** Whether an individual was not proposed before. */
export type IsNew = (steps: readonly number[]) => boolean;

/** A sweep changes something most of the time; a search that finds nothing new in so many has used its grid up. */
const mostSweeps = 10_000;

/** A new individual beside `parent`, or undefined when nothing new is left near it. */
export function mutate(
  parent: Individual,
  settings: FactorSearchSettings,
  random: SeededRandom,
  isNew: IsNew,
): Individual | undefined {
  const steps = [...parent.steps];
  let piece = parent.piece;
  // Changes of rejected sweeps stay, as in the published code.
  for (let sweep = 0; sweep < mostSweeps; sweep++) {
    if (settings.variant === 'dim_mono') {
      for (let i = 0; i < steps.length; i++) {
        if (random.nextFloat() < 0.3) drawBetweenNeighbours(steps, i, settings, random);
      }
    } else {
      piece = movePiece(piece, steps.length, random);
      const [alpha, beta] = piece;
      // The published loop stops two factors early, which leaves the last two at their start.
      for (let i = 0; i < steps.length; i++) {
        if (i <= alpha) steps[i] = 0;
        else if (i > beta) steps[i] = settings.scaleSteps;
        else drawBetweenNeighbours(steps, i, settings, random);
      }
    }
    if (isNonDecreasing(steps) && isNew(steps)) return { steps, piece };
  }
  return undefined;
}

/** A new individual with some factors of `other` in it, or undefined when `maxCrossoverTries` sweeps gave none. */
export function crossOver(
  better: Individual,
  other: Individual,
  settings: FactorSearchSettings,
  random: SeededRandom,
  isNew: IsNew,
): Individual | undefined {
  const steps = [...better.steps];
  let piece = better.piece;
  const hasPiece = settings.variant === 'dim_piece_mono';
  for (let sweep = 0; sweep < settings.maxCrossoverTries; sweep++) {
    // α and β are two more places in front, and change hands together.
    for (let i = hasPiece ? -2 : 0; i < steps.length; i++) {
      if (random.nextFloat() >= 0.3) continue;
      if (random.nextFloat() < 0.5) {
        if (i < 0) piece = other.piece;
        else steps[i] = other.steps[i]!;
      }
      if (isNonDecreasing(steps) && isNew(steps)) return { steps, piece };
    }
  }
  return undefined;
}

/** Puts a uniform value of the grid at `i`, between its neighbours as they are now; leaves it when there is none. */
function drawBetweenNeighbours(
  steps: number[],
  i: number,
  { maxSteps }: FactorSearchSettings,
  random: SeededRandom,
): void {
  const low = i === 0 ? 0 : steps[i - 1]!;
  // As published: the first factor stays below the second, the others may equal their neighbour.
  const high = i === 0 ? steps[1]! - 1 : i === steps.length - 1 ? maxSteps : steps[i + 1]!;
  if (high >= low) steps[i] = low + random.nextInteger(high - low + 1);
}

/** Moves α or β by a normal step of deviation 2, drawn again until 0 ≤ α < β < R/2. */
function movePiece(
  [alpha, beta]: Individual['piece'],
  numFrequencies: number,
  random: SeededRandom,
): Individual['piece'] {
  for (;;) {
    const movesAlpha = random.nextFloat() < 0.5;
    const move = Math.round(2 * random.nextNormal());
    const moved: Individual['piece'] = movesAlpha ? [alpha + move, beta] : [alpha, beta + move];
    if (0 <= moved[0] && moved[0] < moved[1] && moved[1] < numFrequencies) return moved;
  }
}

function isNonDecreasing(steps: readonly number[]): boolean {
  for (let i = 1; i < steps.length; i++) if (steps[i]! < steps[i - 1]!) return false;
  return true;
}
