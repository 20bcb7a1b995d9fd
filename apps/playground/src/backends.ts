/** The backends that a person can choose, from the one that judges the others on. */
export const backendNames = ['reference', 'wasm', 'webgl2', 'webgpu'] as const;
export type BackendChoiceName = (typeof backendNames)[number];

export const backendLabels: Readonly<Record<BackendChoiceName, string>> = {
  reference: 'Reference',
  wasm: 'WebAssembly',
  webgl2: 'WebGL2 (gpu.js)',
  webgpu: 'WebGPU (gpu.js)',
};

/** A WebAssembly module without anything in it. */
const emptyModule = Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0);

/** Why a backend cannot run in this page, as far as a look can tell; undefined where nothing speaks against it. */
export async function whyUnavailable(name: BackendChoiceName): Promise<string | undefined> {
  switch (name) {
    case 'reference':
      return undefined;
    case 'wasm':
      if (typeof WebAssembly === 'undefined') return 'this browser has no WebAssembly';
      try {
        await WebAssembly.compile(emptyModule);
        return undefined;
      } catch {
        return "the page's content security policy forbids WebAssembly (it lacks 'wasm-unsafe-eval')";
      }
    case 'webgl2':
      if (typeof OffscreenCanvas === 'undefined') return 'this browser has no canvas in workers';
      return new OffscreenCanvas(1, 1).getContext('webgl2') ? undefined : 'the browser gives this page no WebGL2';
    case 'webgpu': {
      // Its types are not in TypeScript's library of the DOM yet.
      const gpu: unknown = Reflect.get(navigator, 'gpu');
      if (typeof gpu !== 'object' || gpu === null) return 'this browser has no WebGPU, or only on https pages';
      const requestAdapter: unknown = Reflect.get(gpu, 'requestAdapter');
      const adapter: unknown =
        typeof requestAdapter === 'function' ? await requestAdapter.call(gpu).catch(() => null) : null;
      return adapter ? undefined : 'the browser has WebGPU but no adapter for it';
    }
  }
}
