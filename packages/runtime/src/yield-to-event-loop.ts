/** The longest time, in milliseconds, that a forward pass keeps the event loop waiting before it steps aside. */
const longestBlockMs = 12;

/** Steps aside for the event loop when it has been kept waiting too long. */
export interface Yielder {
  (): Promise<void>;
  /** The longest time, in milliseconds, that one part of the work took since the last question: nothing gets a turn in it. */
  takeLongestPart(): number;
}

/**
 * Makes a function that steps aside for the event loop when it has been kept waiting too long. Long synchronous work calls
 * it between its parts, so that an abort signal, Ctrl-C or a repaint gets its turn; most calls return at once.
 */
export function createYielder(): Yielder {
  let lastTurn = performance.now();
  let lastCall = lastTurn;
  let longestPart = 0;
  const pause = async (): Promise<void> => {
    const now = performance.now();
    longestPart = Math.max(longestPart, now - lastCall);
    lastCall = now;
    if (now - lastTurn < longestBlockMs) return;
    await nextTask();
    lastTurn = performance.now();
    lastCall = lastTurn;
  };
  const takeLongestPart = (): number => {
    const longest = longestPart;
    longestPart = 0;
    lastCall = performance.now();
    return longest;
  };
  return Object.assign(pause, { takeLongestPart });
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
