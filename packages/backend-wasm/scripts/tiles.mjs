/**
 * Writes the innermost loops: 16 rows of weights times 1 or 4 tokens. They are text made by a program because every
 * accumulator must be a variable of its own to live in a register; 64 of them by hand would be beyond reading.
 *
 * Layouts of weights and activations: `assembly/layouts.ts` and `assembly/quantize-activations.ts`.
 */
export function tileSource({ relaxed }) {
  return [
    `import { FLOAT16_BITS, HIGH_HALVES, LOW_NIBBLES, LOW_NIBBLES_16, ONES_16, TWO_TO_112, TWO_TO_96 } from './control';
import { bfloat16Even, bfloat16Odd, float16Even, float16Odd, madd, timesTwoTo16 } from './vector';`,
    ...[1, 4].flatMap((tokens) => [
      integerTile({ name: 'nibbles', tokens, nibbles: true, scales: 'float16', relaxed }),
      integerTile({ name: 'nibblesOffset', tokens, nibbles: true, scales: 'offset', relaxed }),
      integerTile({ name: 'bytes', tokens, nibbles: false, scales: 'float16', relaxed }),
      integerTile({ name: 'bytesOffset', tokens, nibbles: false, scales: 'offset', relaxed }),
      integerTile({ name: 'bytesHalves', tokens, nibbles: false, scales: 'halves', relaxed }),
      floatTile(tokens),
    ]),
    halfTile('float16s', 'float16', true),
    halfTile('bfloat16s', 'bfloat16', false),
  ].join('\n\n');
}

const range = (count) => Array.from({ length: count }, (_, index) => index);
// Four vectors of four rows.
const rowVectors = range(4);

function integerTile({ name, tokens, nibbles, scales, relaxed }) {
  // Bytes go through int16: the relaxed dot product wants one operand of 7 bits, and a signed byte has 8.
  const quads = nibbles && relaxed;
  const words = quads ? 8 : 16;
  const blockSize = { float16: 32, offset: nibbles ? 144 : 128, halves: 128 }[scales] + (nibbles ? 256 : 512);
  const scalesAt = nibbles ? 256 : 512;
  const groupSize = tokens === 1 ? (quads ? 48 : 80) : quads ? 176 : 304;
  const each = range(tokens);
  const place = (word, token) => 4 * (word * tokens + token);
  const [scaleWord, startWord, sumWord] = [words, words + 1, words + 2];
  const lines = [];
  const put = (line) => lines.push(line);

  put(`export function ${name}${tokens}(w: usize, groups: i32, x: usize, to: usize): void {`);
  put(`  const low = v128.load(${quads ? 'LOW_NIBBLES' : 'LOW_NIBBLES_16'}), ones = v128.load(ONES_16);`);
  if (scales === 'float16') put(`  const factor = v128.load(TWO_TO_112), bits = v128.load(FLOAT16_BITS);`);
  for (const t of each) put(`  let ${rowVectors.map((r) => `f${r}_${t} = f32x4.splat(0)`).join(', ')};`);
  put(`  for (let g = 0; g < groups; g++) {`);
  put(`    let a: v128, v: v128;`);
  for (const r of rowVectors) put(`    let w${r}: v128;`);

  // Sums of products start anew in every group; nibbles without offsets start at -8 times the sum of the activations.
  const startSums = () => {
    const biased = nibbles && scales !== 'offset';
    for (const t of each) {
      const start = biased ? `v128.load32_splat(x, ${place(startWord, t)})` : 'i32x4.splat(0)';
      put(`    s0_${t} = ${start}; s1_${t} = s0_${t}; s2_${t} = s0_${t}; s3_${t} = s0_${t};`);
    }
  };
  const multiply = (word, operand) => {
    for (const t of each) {
      put(`    a = v128.load32_splat(x, ${place(word, t)});`);
      for (const r of rowVectors) {
        const dot = quads
          ? // The nibbles are the operand of 7 bits. 16 products of 127 · 15 stay inside int16 with the start value.
            `i16x8.add(s${r}_${t}, v128.relaxed_dot<i16>(a, ${operand(r)}))`
          : `i32x4.add(s${r}_${t}, i32x4.dot_i16x8_s(a, ${operand(r)}))`;
        put(`    s${r}_${t} = ${dot};`);
      }
    }
  };
  // Adds the sums of a group, times the scales at `offset`.
  const addScaled = (offset) => {
    for (const r of rowVectors) {
      if (scales === 'float16') {
        if (r % 2 === 0) put(`    v = v128.load(w, ${offset + 8 * r});`);
        put(`    w${r} = f32x4.mul(float16${r % 2 === 0 ? 'Even' : 'Odd'}(v, bits), factor);`);
      } else {
        put(`    w${r} = v128.load(w, ${offset + 16 * r});`);
      }
    }
    for (const t of each) {
      put(`    a = v128.load32_splat(x, ${place(scaleWord, t)});`);
      for (const r of rowVectors) {
        const sum = quads ? `i32x4.dot_i16x8_s(s${r}_${t}, ones)` : `s${r}_${t}`;
        put(`    f${r}_${t} = madd(f32x4.convert_i32x4_s(${sum}), f32x4.mul(w${r}, a), f${r}_${t});`);
      }
    }
  };

  for (const t of each) put(`    let ${rowVectors.map((r) => `s${r}_${t}: v128`).join(', ')};`);
  startSums();
  if (nibbles) {
    for (const j of range(4)) {
      for (const r of rowVectors) put(`    w${r} = v128.load(w, ${64 * j + 16 * r});`);
      if (quads) {
        multiply(j, (r) => `v128.and(w${r}, low)`);
        multiply(j + 4, (r) => `v128.and(i16x8.shr_u(w${r}, 4), low)`);
      } else {
        // As int16 lanes, bytes 0 and 2 of a row are the low halves, bytes 1 and 3 the high ones: hence the order of pairs.
        multiply(2 * j, (r) => `v128.and(w${r}, low)`);
        multiply(2 * j + 1, (r) => `v128.and(i16x8.shr_u(w${r}, 8), low)`);
        multiply(2 * j + 8, (r) => `v128.and(i16x8.shr_u(w${r}, 4), low)`);
        multiply(2 * j + 9, (r) => `i16x8.shr_u(w${r}, 12)`);
      }
    }
  } else {
    for (const j of range(8)) {
      for (const half of [0, 1]) {
        for (const r of rowVectors) put(`    w${r} = v128.load8x8_s(w, ${64 * j + 16 * r + 8 * half});`);
        multiply(2 * j + half, (r) => `w${r}`);
      }
      if (scales === 'halves' && j === 3) {
        addScaled(scalesAt);
        startSums();
      }
    }
  }
  addScaled(scales === 'halves' ? scalesAt + 64 : scalesAt);
  if (scales === 'offset') {
    for (const r of rowVectors) put(`    w${r} = v128.load(w, ${scalesAt + 64 + 16 * r});`);
    for (const t of each) {
      put(`    a = v128.load32_splat(x, ${place(sumWord, t)});`);
      for (const r of rowVectors) put(`    f${r}_${t} = madd(w${r}, a, f${r}_${t});`);
    }
  }
  put(`    w += ${blockSize}; x += ${groupSize};`);
  put(`  }`);
  for (const t of each) {
    for (const r of rowVectors) put(`  v128.store(to, f${r}_${t}, ${64 * t + 16 * r});`);
  }
  put(`}`);
  return lines.join('\n');
}

/** Adds `count` columns of float32 weights times float32 activations to the sums at `to`. */
function floatTile(tokens) {
  const each = range(tokens);
  const lines = [];
  const put = (line) => lines.push(line);
  put(`export function floats${tokens}(w: usize, count: i32, x: usize, to: usize): void {`);
  // Eight rows at a time with four tokens: eight sums and their operands fit into sixteen registers.
  const parts = tokens === 1 ? [rowVectors] : [rowVectors.slice(0, 2), rowVectors.slice(2)];
  for (const [index, rows] of parts.entries()) {
    put(`  {`);
    put(`    let from = w, at = x, a: v128;`);
    for (const t of each) put(`    let ${rows.map((r) => `f${r}_${t} = f32x4.splat(0)`).join(', ')};`);
    put(`    for (let i = 0; i < count; i++) {`);
    for (const r of rows) put(`      const w${r} = v128.load(from, ${16 * r});`);
    for (const t of each) {
      put(`      a = v128.load32_splat(at, ${4 * t});`);
      for (const r of rows) put(`      f${r}_${t} = madd(w${r}, a, f${r}_${t});`);
    }
    put(`      from += 64; at += ${4 * tokens};`);
    put(`    }`);
    for (const t of each) {
      for (const r of rows) {
        const place = 64 * t + 16 * r;
        put(`    v128.store(to, f32x4.add(v128.load(to, ${place}), f${r}_${t}), ${place});`);
      }
    }
    put(`  }`, index);
  }
  put(`}`);
  return lines.join('\n');
}

/** As `floatTile` of one token, for weights of two bytes: widened in registers, because one token reads each only once. */
function halfTile(name, type, scaled) {
  const lines = [];
  const put = (line) => lines.push(line);
  put(`export function ${name}1(w: usize, count: i32, x: usize, to: usize): void {`);
  put(`  const before = v128.load(TWO_TO_96), bits = v128.load(${scaled ? 'FLOAT16_BITS' : 'HIGH_HALVES'});`);
  put(`  let ${rowVectors.map((r) => `f${r} = f32x4.splat(0)`).join(', ')}, a: v128, v: v128;`);
  put(`  for (let i = 0; i < count; i++) {`);
  put(`    a = ${scaled ? 'f32x4.mul(v128.load32_splat(x), before)' : 'v128.load32_splat(x)'};`);
  for (const r of rowVectors) {
    if (r % 2 === 0) put(`    v = v128.load(w, ${8 * r});`);
    put(`    f${r} = madd(${type}${r % 2 === 0 ? 'Even' : 'Odd'}(v, bits), a, f${r});`);
  }
  put(`    w += 32; x += 4;`);
  put(`  }`);
  for (const r of rowVectors) {
    const sum = scaled ? `timesTwoTo16(f${r})` : `f${r}`;
    put(`  v128.store(to, f32x4.add(v128.load(to, ${16 * r}), ${sum}), ${16 * r});`);
  }
  put(`}`);
  return lines.join('\n');
}
