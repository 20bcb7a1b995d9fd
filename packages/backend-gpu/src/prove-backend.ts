import type { Backend, Step, TensorHandle, WeightMatrix } from '@phiblocks/tensor';

/** Drivers differ by some units in the last place of a float32; kernels that a driver compiles wrong are off by far more. */
const tolerance = 1e-3;
const width = 32;
const headDim = 16;

/**
 * Runs one of every kind of operation that a decoder layer has, on numbers whose results follow without a computer, and says
 * what came out wrong. Drivers do miscompile kernels, and a model would only talk nonsense.
 *
 * @returns undefined when all is right, else the operation, what it computed and what it should have computed
 */
export async function proveBackend(backend: Backend): Promise<string | undefined> {
  const weight = backend.uploadWeight(differences());
  const scale = backend.upload({ data: new Float32Array(width).fill(3), shape: [width] });
  const cache = backend.createCache({ numLayers: 1, numKeyValueHeads: 2, headDim });
  const step = backend.beginStep();
  try {
    for (const [name, computed, expected] of proofs(step, { weight, scale, cache })) {
      const { data } = await backend.read(computed);
      // Written so that NaN is wrong, too.
      const wrong = expected.findIndex((value, index) => !(Math.abs(data[index]! - value) <= tolerance));
      if (wrong >= 0) return `${name} computed ${data[wrong]} instead of ${expected[wrong]}`;
    }
    return undefined;
  } finally {
    step.end();
    for (const handle of [weight, scale, cache]) backend.free(handle);
  }
}

type Proof = [operation: string, computed: TensorHandle, expected: readonly number[]];

interface Given {
  readonly weight: ReturnType<Backend['uploadWeight']>;
  readonly scale: TensorHandle;
  readonly cache: ReturnType<Backend['createCache']>;
}

function* proofs(step: Step, { weight, scale, cache }: Given): Generator<Proof> {
  const upload = (values: readonly number[], ...shape: number[]) =>
    step.upload({ data: Float32Array.from(values), shape });
  const row = Array.from({ length: width }, (_, i) => i * i);
  const x = upload(row, 1, width);

  // Every row of the weight is +1 in its own column and -1 in the next.
  const differencesOfSquares = row.map((value, i) => value - row[(i + 1) % width]!);
  yield ['a product with 4-bit weights', step.linear(x, weight), differencesOfSquares];
  yield [
    'the embedding of a token',
    step.embed(weight, Int32Array.of(5)),
    row.map((_, i) => (i === 5 ? 1 : i === 6 ? -1 : 0)),
  ];
  yield ['an addition', step.add(x, x), row.map((value) => 2 * value)];

  // The root mean square of ±2 is 2.
  const signs = row.map((_, i) => (i % 3 === 0 ? -1 : 1));
  const twos = upload(
    signs.map((sign) => 2 * sign),
    1,
    width,
  );
  yield ['an RMSNorm', step.rmsNorm(twos, scale, 0), signs.map((sign) => 3 * sign)];

  // A quarter turn makes (-b, a) of (a, b), b half a head further on.
  const half = headDim / 2;
  const quarter = { cos: upload(new Array(half).fill(0), 1, half), sin: upload(new Array(half).fill(1), 1, half) };
  const turned = row.map((_, i) => (i % headDim < half ? -row[i + half]! : row[i - half]!));
  yield ['a rotation', step.rotate(x, quarter, headDim), turned];

  // Scores of 0 and ln 3 are weights of 1/4 and 3/4.
  const first = row.map((_, i) => (i % headDim === 0 ? 1 : 0));
  const keys = [...new Array(width).fill(0), ...first.map((value) => value * Math.log(3))];
  const values = [...new Array(width).fill(4), ...row.map((value) => 4 * value)];
  step.appendToCache(cache, 0, upload(keys, 2, width), upload(values, 2, width));
  const attended = step.attention(upload(first, 1, width), cache, 0, { scale: 1 });
  yield ['attention', attended, row.map((value) => 1 + 3 * value)];

  // ln 3 / (1 + e^-ln 3) is 3/4 of ln 3.
  const gates = row.map((_, i) => (i % 2 === 0 ? Math.log(3) : 0));
  const gated = step.gatedActivation(upload([...gates, ...row], 1, 2 * width), 'swiglu');
  yield ['a gated activation', gated, row.map((value, i) => 0.75 * gates[i]! * value)];
}

/** `[32, 32]` in Q4_0 with scale 1: nibbles 9 in the diagonal, 7 behind it, and 8, which is zero, elsewhere. */
function differences(): WeightMatrix {
  const numbers = Array.from({ length: width }, (_, row) =>
    Array.from({ length: width }, (_, column) => (column === row ? 1 : column === (row + 1) % width ? -1 : 0)),
  );
  const bytes = new Uint8Array(18 * width);
  for (const [index, row] of numbers.entries()) {
    bytes.set([0x00, 0x3c], 18 * index);
    for (let i = 0; i < 16; i++) bytes[18 * index + 2 + i] = (row[i]! + 8) | ((row[i + 16]! + 8) << 4);
  }
  return {
    format: 'Q4_0',
    shape: [width, width],
    bytes,
    dequantizeRow: (row, out) => out.set(numbers[row]!),
  };
}
