/** Numbers that look random and are the same every time: mulberry32, and normal ones by Box and Muller. */
export function createRandom(seed: number): {
  uniform(): number;
  normals(length: number, deviation: number): Float32Array;
} {
  let state = seed >>> 0;
  const uniform = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let x = Math.imul(state ^ (state >>> 15), state | 1);
    x ^= x + Math.imul(x ^ (x >>> 7), x | 61);
    return ((x ^ (x >>> 14)) >>> 0) / 2 ** 32;
  };
  return {
    uniform,
    normals(length, deviation) {
      const out = new Float32Array(length);
      for (let i = 0; i < length; i += 2) {
        const radius = deviation * Math.sqrt(-2 * Math.log(1 - uniform()));
        const angle = 2 * Math.PI * uniform();
        out[i] = radius * Math.cos(angle);
        if (i + 1 < length) out[i + 1] = radius * Math.sin(angle);
      }
      return out;
    },
  };
}
