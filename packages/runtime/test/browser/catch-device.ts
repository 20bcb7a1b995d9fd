// Catches the browser's own graphics devices as they are made, so that a test can lose them.

export interface CaughtDevices {
  /** Takes the last context or device away, as a browser does when the driver fails or another page wants the card. */
  lose(): void;
  /** Puts everything back. */
  stop(): void;
}

type Method = (this: unknown, ...args: unknown[]) => unknown;

function replace(prototype: object | undefined, name: string, wrap: (original: Method) => Method): () => void {
  if (!prototype) return () => {};
  const original: Method = Reflect.get(prototype, name);
  Reflect.set(prototype, name, wrap(original));
  return () => Reflect.set(prototype, name, original);
}

export function catchDevices(mode: 'webgl2' | 'webgpu'): CaughtDevices {
  let lose = (): void => {
    throw new Error('no device was made');
  };
  if (mode === 'webgl2') {
    const stop = replace(
      OffscreenCanvas.prototype,
      'getContext',
      (original) =>
        function (...args) {
          const context = original.apply(this, args);
          if (context instanceof WebGL2RenderingContext) {
            const extension = context.getExtension('WEBGL_lose_context')!;
            lose = () => extension.loseContext();
          }
          return context;
        },
    );
    return { lose: () => lose(), stop };
  }
  // The types of WebGPU are not in TypeScript's library of the DOM yet.
  const adapters: { prototype: object } | undefined = Reflect.get(globalThis, 'GPUAdapter');
  const stop = replace(
    adapters?.prototype,
    'requestDevice',
    (original) =>
      async function (...args) {
        const device = (await original.apply(this, args)) as { destroy(): void };
        lose = () => device.destroy();
        return device;
      },
  );
  return { lose: () => lose(), stop };
}
