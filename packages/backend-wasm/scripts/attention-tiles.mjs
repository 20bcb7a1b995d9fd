/**
 * Writes the innermost loops of attention: 1 or 4 query rows times the keys of a chunk of 32 positions, and their weights times
 * the values. Text made by a program for the same reason as in `tiles.mjs`: every accumulator must live in a register.
 *
 * How keys and values lie: `assembly/cache.ts`. What surrounds the loops: `assembly/attention.ts`.
 */
export function attentionTileSource() {
  return [
    `import { FLOAT16_BITS } from './control';
import { float16Even, float16Odd, madd, timesTwoTo16 } from './vector';`,
    ...Object.keys(formats).flatMap((format) => [
      scoreTile(format, 1),
      scoreTile(format, 4),
      valueTile(format, 1, 32),
      valueTile(format, 1, 8),
      valueTile(format, 4, 32),
      valueTile(format, 4, 8),
    ]),
  ].join('\n\n');
}

const range = (count) => Array.from({ length: count }, (_, index) => index);

// `size` is the bytes of one number. A vector of int8 holds four positions times two components (keys), or four components
// times two positions (values), because the product of int16 adds pairs: it needs half as many steps.
const formats = {
  floats: { size: 4, pairs: false },
  halves: { size: 2, pairs: false },
  bytes: { size: 1, pairs: true },
};

/** Loads `count` vectors of four numbers from `from` + `offset` into `k0`, `k1`, …. */
function loads(format, from, offset, count) {
  return range(count).flatMap((v) => {
    if (format === 'floats') return `k${v} = v128.load(${from}, ${offset + 16 * v});`;
    if (format === 'bytes') return `k${v} = v128.load8x8_s(${from}, ${offset + 8 * v});`;
    if (v % 2 === 1) return [];
    // Widened in registers: five operations for eight numbers, and no multiplication (see `vector.ts`).
    return [
      `h = v128.load(${from}, ${offset + 8 * v});`,
      `k${v} = float16Even(h, bits);`,
      `k${v + 1} = float16Odd(h, bits);`,
    ];
  });
}

function multiplyAdd(format, sum, x, k) {
  return format === 'bytes'
    ? `${sum} = i32x4.add(${sum}, i32x4.dot_i16x8_s(${x}, ${k}));`
    : `${sum} = madd(${x}, ${k}, ${sum});`;
}

/**
 * `rows` queries times the keys of 32 positions. `q` to `end` is the first query (int16 beside int8 keys, times 2^96 beside
 * float16 ones), `stride` the bytes from one query to the next; the scores of a row go to `to`, of the next to `to + toStride`.
 */
function scoreTile(format, rows) {
  const { size, pairs } = formats[format];
  const lines = [];
  const put = (...more) => lines.push(...more);
  // Eight sums either way: as many as two multiply-adds per cycle, each four cycles late, keep busy.
  const vectors = 8 / rows;
  const each = range(rows);
  const eachVector = range(vectors);
  const scaled = pairs ? ', keyScales: usize, rowScales: usize' : '';
  put(`export function ${format}Scores${rows}(`);
  put(`  q: usize, end: usize, stride: usize, keys: usize, to: usize, toStride: usize${scaled},`);
  put(`): void {`);
  if (format === 'halves') put(`  const bits = v128.load(FLOAT16_BITS);`);
  for (const part of range(rows)) {
    const offset = part * vectors * 4 * size * (pairs ? 2 : 1);
    const at = 16 * vectors * part;
    put(`  {`);
    put(`    let x: v128, h: v128, ${eachVector.map((v) => `k${v}: v128`).join(', ')};`);
    put(`    let ${each.flatMap((r) => eachVector.map((v) => `s${r}_${v} = f32x4.splat(0)`)).join(', ')};`);
    put(`    let from = keys;`);
    for (const r of each) put(`    let q${r} = q + ${r} * stride;`);
    put(`    while (q0 < end) {`);
    put(...loads(format, 'from', offset, vectors).map((line) => `      ${line}`));
    for (const r of each) {
      put(`      x = v128.load32_splat(q${r});`);
      for (const v of eachVector) put(`      ${multiplyAdd(format, `s${r}_${v}`, 'x', `k${v}`)}`);
    }
    put(`      from += ${32 * size * (pairs ? 2 : 1)};`);
    for (const r of each) put(`      q${r} += 4;`);
    put(`    }`);
    for (const r of each) {
      if (pairs) put(`    x = v128.load32_splat(rowScales, ${4 * r});`);
      for (const v of eachVector) {
        const sum = `s${r}_${v}`;
        const score = {
          floats: sum,
          halves: `timesTwoTo16(${sum})`,
          bytes: `f32x4.mul(f32x4.convert_i32x4_s(${sum}), f32x4.mul(x, v128.load(keyScales, ${at + 16 * v})))`,
        }[format];
        put(`    v128.store(to + ${r} * toStride, ${score}, ${at + 16 * v});`);
      }
    }
    put(`  }`);
  }
  put(`}`);
  return lines.join('\n');
}

/**
 * Adds to the sums of `rows` queries their weights times the values of a slice, `width` components wide. `weights` to `end`
 * are the first row's (pairs of int16 beside int8 values, times 2^96 beside float16 ones), `stride` the bytes from one row's
 * to the next.
 */
function valueTile(format, rows, width) {
  const { size, pairs } = formats[format];
  const lines = [];
  const put = (...more) => lines.push(...more);
  const vectors = rows === 1 ? width / 4 : 2;
  const each = range(rows);
  const eachVector = range(vectors);
  const scaled = pairs ? ', rowScales: usize' : '';
  put(`export function ${format}Values${rows}x${width}(`);
  put(`  weights: usize, end: usize, stride: usize, values: usize, to: usize, toStride: usize${scaled},`);
  put(`): void {`);
  if (format === 'halves') put(`  const bits = v128.load(FLOAT16_BITS);`);
  for (const part of range(width / 4 / vectors)) {
    const offset = part * vectors * 4 * size * (pairs ? 2 : 1);
    const at = 16 * vectors * part;
    put(`  {`);
    put(`    let x: v128, h: v128, ${eachVector.map((v) => `k${v}: v128`).join(', ')};`);
    put(`    let ${each.flatMap((r) => eachVector.map((v) => `s${r}_${v} = f32x4.splat(0)`)).join(', ')};`);
    put(`    let from = values;`);
    for (const r of each) put(`    let w${r} = weights + ${r} * stride;`);
    put(`    while (w0 < end) {`);
    put(...loads(format, 'from', offset, vectors).map((line) => `      ${line}`));
    for (const r of each) {
      put(`      x = v128.load32_splat(w${r});`);
      for (const v of eachVector) put(`      ${multiplyAdd(format, `s${r}_${v}`, 'x', `k${v}`)}`);
    }
    put(`      from += ${width * size * (pairs ? 2 : 1)};`);
    for (const r of each) put(`      w${r} += 4;`);
    put(`    }`);
    for (const r of each) {
      if (pairs) put(`    x = v128.load32_splat(rowScales, ${4 * r});`);
      for (const v of eachVector) {
        const sum = `s${r}_${v}`;
        const total = `v128.load(to + ${r} * toStride, ${at + 16 * v})`;
        const next = {
          floats: `f32x4.add(${total}, ${sum})`,
          halves: `f32x4.add(${total}, timesTwoTo16(${sum}))`,
          bytes: `madd(f32x4.convert_i32x4_s(${sum}), x, ${total})`,
        }[format];
        put(`    v128.store(to + ${r} * toStride, ${next}, ${at + 16 * v});`);
      }
    }
    put(`  }`);
  }
  put(`}`);
  return lines.join('\n');
}
