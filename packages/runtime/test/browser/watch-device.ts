// Watches the browser's own GPU interfaces, below gpu.js and below this project: what goes to the device and what comes back.

/** What was seen since the watch began. */
export interface DeviceTraffic {
  /** Bytes of arrays that went to the device, each call of its own: the sizes of a kernel's arguments come along too. */
  readonly uploadedSizes: number[];
  /** How often numbers were asked back. */
  readBacks: number;
}

type Method = (this: unknown, ...args: unknown[]) => unknown;

/** Begins to watch. `stop` puts everything back. */
export function watchDevice(): { traffic: DeviceTraffic; stop(): void } {
  const traffic: DeviceTraffic = { uploadedSizes: [], readBacks: 0 };
  const restores: (() => void)[] = [];
  const sizeOf = (data: unknown): number =>
    ArrayBuffer.isView(data) || data instanceof ArrayBuffer ? data.byteLength : 0;

  /** Calls `see` before each call of a method of some global class, where the browser has it. */
  function watch(className: string, methodName: string, see: (args: unknown[]) => void): void {
    const prototype: unknown = Object.getOwnPropertyDescriptor(globalThis, className)?.value?.prototype;
    if (typeof prototype !== 'object' || prototype === null) return;
    const original: Method = Reflect.get(prototype, methodName);
    const watched: Method = function (...args) {
      see(args);
      return original.apply(this, args);
    };
    Reflect.set(prototype, methodName, watched);
    restores.push(() => Reflect.set(prototype, methodName, original));
  }

  watch('GPUQueue', 'writeBuffer', ([, , data]) => traffic.uploadedSizes.push(sizeOf(data)));
  watch('GPUDevice', 'createBuffer', ([description]) => {
    const { mappedAtCreation, size } = description as { mappedAtCreation?: boolean; size: number };
    if (mappedAtCreation) traffic.uploadedSizes.push(size);
  });
  watch('GPUBuffer', 'mapAsync', () => {
    traffic.readBacks++;
  });
  for (const name of ['texImage2D', 'texSubImage2D', 'bufferData', 'bufferSubData']) {
    watch('WebGL2RenderingContext', name, (args) => {
      const size = Math.max(...args.map(sizeOf));
      if (size > 0) traffic.uploadedSizes.push(size);
    });
  }
  watch('WebGL2RenderingContext', 'readPixels', () => {
    traffic.readBacks++;
  });
  return {
    traffic,
    stop() {
      for (const restore of restores) restore();
    },
  };
}
