/** The longest time, in milliseconds, that a forward pass keeps the event loop waiting before it steps aside. */
const longestBlockMs = 12;

/**
 * Makes a function that steps aside for the event loop when it has been kept waiting too long. Long synchronous work calls
 * it between its parts, so that an abort signal, Ctrl-C or a repaint gets its turn; most calls return at once.
 */
export function createYielder(): () => Promise<void> {
  let last = performance.now();
  return async () => {
    if (performance.now() - last < longestBlockMs) return;
    await nextTask();
    last = performance.now();
  };
}

/** Resolves in a new task, behind the events that wait. A promise alone would run before them. */
function nextTask(): Promise<void> {
  return new Promise((resolve) => {
    if (typeof setImmediate === 'function') {
      setImmediate(resolve);
    } else {
      // setTimeout is held back to 4 ms in browsers; a message is not.
      const { port1, port2 } = new MessageChannel();
      port1.onmessage = () => {
        port1.close();
        resolve();
      };
      port2.postMessage(null);
    }
  });
}
