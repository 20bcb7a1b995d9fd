/** One end of a connection for messages: a `Worker`, a `MessagePort`, or the global scope of a worker. */
export interface MessageEndpoint {
  postMessage(message: unknown, options?: { transfer?: ArrayBuffer[] }): void;
  addEventListener(type: string, listener: (event: MessageEvent) => void): void;
  /** A `MessagePort` begins to deliver only then. */
  start?(): void;
  /** A `Worker`. */
  terminate?(): void;
  /** A `MessagePort`. */
  close?(): void;
}
