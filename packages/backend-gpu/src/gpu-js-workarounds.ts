import { Phi3Error } from '@phiblocks/tensor';
import type { DeviceResult, GpuBufferLike, GpuDeviceLike, GpuJsKernelInside } from './gpu-js.ts';

// Everything that this package does behind gpu.js's back, because gpu.js 2.24 cannot express it or does it badly. Each has a
// test that fails on the day it is no longer needed (`test/browser/gpu-js-workarounds.test.ts`).

/** The argument of a kernel that holds integers in 32 bit words on WebGPU. */
export const packedArgument = 'packed';

/**
 * WebGPU: gpu.js declares every array as `array<f32>` and has no bit casts, so that a kernel cannot read 32 bit integers. This
 * declares the argument named `packed` as `array<u32>` and lets the kernel see its 16 bit halves as numbers: index k of the
 * kernel is half k & 1 of word k >> 1.
 *
 * gpu.js also gives kernels of two and three dimensions workgroups of 8 × 8, of which a single row uses an eighth. This makes
 * them 64 × 1.
 */
export function patchShader(kernel: GpuJsKernelInside): void {
  const assemble = kernel.assembleWGSL;
  if (!assemble) throw changed('a WebGPU kernel with assembleWGSL');
  kernel.assembleWGSL = function assembleWithWords(this: GpuJsKernelInside): string {
    let source = assemble.call(this);
    source = replaced(source, '@workgroup_size(8, 8, 1)', '@workgroup_size(64, 1, 1)');
    this.workgroupSize = [64, 1, 1];
    const declaration = `var<storage, read> user_${packedArgument} : array<f32>;`;
    if (!source.includes(declaration)) return source;
    source = replaced(source, declaration, declaration.replace('f32', 'u32'));
    const dims = `params.user_${packedArgument}_dims`;
    return replaced(
      source,
      `return user_${packedArgument}[u32(x + i32(${dims}.x) * (y + i32(${dims}.y) * z))];`,
      `return f32((user_${packedArgument}[u32(x + i32(${dims}.x) * (z >> 1u))] >> u32((z & 1) << 4u)) & 0xffffu);`,
    );
  };
}

function replaced(source: string, from: string, to: string): string {
  if (!source.includes(from)) throw changed(`a shader with ${from}`);
  return source.replace(from, to);
}

function changed(expected: string): Phi3Error {
  return new Phi3Error({
    code: 'GPU_KERNEL_FAILED',
    function: 'createGpuBackend',
    expected: `${expected}, as gpu.js 2.24 has it`,
    hint: 'This version of gpu.js is not supported.',
  });
}

/**
 * WebGL2: gpu.js sets the size of its canvas whenever a kernel gets another output size, to the largest of all, although
 * nothing is ever drawn there: each time the browser throws a picture of megabytes away and makes a new one. An object that
 * only remembers its size takes the canvas's place.
 */
export function createCanvasStandIn(): { width: number; height: number } {
  return { width: 1, height: 1 };
}

/**
 * WebGL2: a kernel that is given its own last result as an argument keeps that texture and takes it as its output two calls
 * later, also when the output has another size by then. The residual stream and the cache do just that. It is not needed: the
 * result is alive while the kernel runs, so gpu.js finds a second reference to it and makes a new texture.
 */
export function neverReuseArguments(kernel: GpuJsKernelInside): void {
  if (!kernel.updateTextureArgumentRefs) throw changed('a WebGL2 kernel with updateTextureArgumentRefs');
  kernel.updateTextureArgumentRefs = () => {};
}

// gpu.js sends an array argument to the device at every call and has no other way to bring numbers there. What stays (weights)
// is placed directly, and dressed up as what a pipeline kernel returns.

// From the WebGPU specification: the globals exist only where WebGPU does.
const storageAndCopySource = 0x0080 | 0x0004;

/** WebGPU: bytes in a buffer of their own. */
export function placeInBuffer(device: GpuDeviceLike, data: Float32Array | Uint32Array): GpuBufferLike {
  const buffer = device.createBuffer({
    size: Math.max(4, data.byteLength),
    usage: storageAndCopySource,
    mappedAtCreation: true,
  });
  new Uint8Array(buffer.getMappedRange()).set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  buffer.unmap();
  return buffer;
}

/** WebGL2: floats in a texture of one channel, in the layout that kernels write: rows of texels filled one after the other. */
export function placeInTexture(
  gl: WebGL2RenderingContext,
  data: Float32Array,
): { texture: WebGLTexture; size: [width: number, height: number] } {
  const width = Math.max(1, Math.ceil(Math.sqrt(data.length)));
  const height = Math.max(1, Math.ceil(data.length / width));
  const texture = gl.createTexture();
  gl.activeTexture(gl.TEXTURE15); // gpu.js counts its own from 0
  gl.bindTexture(gl.TEXTURE_2D, texture);
  gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_S, gl.CLAMP_TO_EDGE);
  gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_T, gl.CLAMP_TO_EDGE);
  gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.NEAREST);
  gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MAG_FILTER, gl.NEAREST);
  gl.pixelStorei(gl.UNPACK_FLIP_Y_WEBGL, false);
  gl.texStorage2D(gl.TEXTURE_2D, 1, gl.R32F, width, height);
  const fullRows = Math.floor(data.length / width);
  if (fullRows > 0) {
    gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, 0, width, fullRows, gl.RED, gl.FLOAT, data, 0);
  }
  const rest = data.length - fullRows * width;
  if (rest > 0) {
    gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, fullRows, rest, 1, gl.RED, gl.FLOAT, data, fullRows * width);
  }
  return { texture, size: [width, height] };
}

/** gpu.js gives a result of three dimensions as arrays in arrays; this is their innermost level in one array. */
export function flatten(result: unknown, columns: number, rows: number): Float32Array {
  const out = new Float32Array(columns * rows);
  for (let row = 0; row < rows; row++) {
    const line: unknown = Array.isArray(result) && Array.isArray(result[row]) ? result[row][0] : undefined;
    if (!(line instanceof Float32Array)) throw changed('a result of three dimensions as arrays of Float32Array');
    out.set(line.subarray(0, columns), row * columns);
  }
  return out;
}

/** The class of a pipeline result, which gpu.js does not export for WebGL2. */
export function classOf(result: DeviceResult): new (settings: object) => DeviceResult {
  return result.constructor as new (
    settings: object,
  ) => DeviceResult;
}
