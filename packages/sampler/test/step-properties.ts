import { createSeededRandom } from '@phiblocks/testing';
import { expect, it } from 'vitest';

/** Logits of test cases: normal ones, ones with many ties, ones with tokens ruled out, a flat row, a single candidate. */
export function logitCases(): { name: string; logits: Float32Array }[] {
  const random = createSeededRandom(11);
  const ruledOut = random.normals(300, 4);
  for (let id = 0; id < 300; id += 3) ruledOut[id] = -Infinity;
  const single = new Float32Array(20).fill(-Infinity);
  single[13] = -2;
  return [
    { name: 'one token', logits: Float32Array.of(3) },
    { name: '7 normal', logits: random.normals(7, 2) },
    { name: '1000 normal', logits: random.normals(1000, 3) },
    { name: '1000 peaked', logits: random.normals(1000, 30) },
    { name: '500 with ties', logits: random.normals(500, 2).map(Math.round) },
    { name: '64 equal', logits: new Float32Array(64).fill(1.5) },
    { name: '300 with a third ruled out', logits: ruledOut },
    { name: 'one candidate of 20', logits: single },
    { name: 'all ruled out', logits: new Float32Array(5).fill(-Infinity) },
    { name: 'extremes of float32', logits: Float32Array.of(3.4e38, -3.4e38, 0, 3.4e38) },
  ];
}

/** Ids of the tokens that are not ruled out. */
export function keptIds(logits: Float32Array): number[] {
  return Array.from(logits.keys()).filter((id) => logits[id] !== -Infinity);
}

/** What every step promises: it leaves its input alone, writes where it is told, also onto its input, and rejects bad logits. */
export function testStep(step: (logits: Float32Array, out?: Float32Array) => Float32Array): void {
  it('leaves the logits alone and writes the same numbers to out, also onto the logits', () => {
    const logits = createSeededRandom(5).normals(50, 3);
    const copy = logits.slice();
    const fresh = step(logits);
    expect(logits).toEqual(copy);
    const out = new Float32Array(50);
    expect(step(logits, out)).toBe(out);
    expect(out).toEqual(fresh);
    expect(step(logits, logits)).toBe(logits);
    expect(logits).toEqual(fresh);
  });

  it('rejects NaN and +Infinity, naming the first one', () => {
    expect(() => step(Float32Array.of(1, Number.NaN, Number.NaN))).toThrow(/^NUM_NAN \w+\(logits\[1\]\): .*got NaN/);
    expect(() => step(Float32Array.of(Infinity, 1, 1))).toThrow(/^NUM_NAN \w+\(logits\[0\]\): .*got Infinity/);
  });

  it('rejects an out of another length, and logits that are no Float32Array', () => {
    expect(() => step(new Float32Array(50), new Float32Array(3))).toThrow(/^ARGUMENT \w+\(out\)/);
    // @ts-expect-error the wrong kind on purpose
    expect(() => step([1, 2, 3])).toThrow(/^ARGUMENT \w+\(logits\)/);
  });
}
