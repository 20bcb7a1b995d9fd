import type { SuiteName } from './result.ts';

/** Shows how far a suite has come and how long the rest may take. */
export interface Progress {
  update(suite: SuiteName, done: number, total: number): void;
  end(): void;
}

/** Work that takes less than this is not worth a line. */
const quietMs = 1500;
/** Where there is no terminal, a line at most every so often. */
const lineIntervalMs = 10_000;

/** Progress on standard error: one line that changes on a terminal, plain lines elsewhere, nothing for short work. */
export function createProgress(): Progress {
  const isTerminal = process.stderr.isTTY === true;
  let suite: SuiteName | undefined;
  let started = 0;
  /** What was done when the suite began here: a resumed one does not begin at nothing. */
  let startedAt = 0;
  let lastLine = 0;
  let isShown = false;
  const clear = (): void => {
    if (isShown && isTerminal) process.stderr.write('\r\u001b[K');
    isShown = false;
  };
  return {
    update(name, done, total) {
      const now = performance.now();
      if (name !== suite) {
        suite = name;
        started = now;
        startedAt = done;
        lastLine = now;
      }
      const share = total > 0 ? Math.min(1, done / total) : 1;
      if (now - started < quietMs || now - lastLine < (isTerminal ? 100 : lineIntervalMs)) return;
      lastLine = now;
      const rate = (done - startedAt) / (now - started);
      const left = rate > 0 ? duration((total - done) / rate) : 'some time';
      const line = `${name}: ${Math.floor(100 * share)} %, ${left} left`;
      process.stderr.write(isTerminal ? `\r\u001b[K${line}` : `${line}\n`);
      isShown = true;
    },
    end: clear,
  };
}

/** For example `3 min 20 s`. */
export function duration(milliseconds: number): string {
  const seconds = Math.max(1, Math.round(milliseconds / 1000));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  return minutes < 60 ? `${minutes} min ${seconds % 60} s` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** A line on standard error that is not an error. */
export function note(text: string): void {
  process.stderr.write(`${text}\n`);
}

/** The first Ctrl-C (or SIGTERM) aborts the signal, so that the state is kept; the second ends the process at once. */
export function createInterrupt(): { signal: AbortSignal; release(): void } {
  const controller = new AbortController();
  const stop = (name: NodeJS.Signals): void => {
    const status = name === 'SIGTERM' ? 143 : 130;
    if (controller.signal.aborted) process.exit(status);
    controller.abort(new Error(`stopped by ${name}`));
    process.exitCode = status;
  };
  process.on('SIGINT', stop);
  process.on('SIGTERM', stop);
  return {
    signal: controller.signal,
    release() {
      process.off('SIGINT', stop);
      process.off('SIGTERM', stop);
    },
  };
}

/** Writes to standard output and waits until it is taken. */
export function print(text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    process.stdout.write(text, (error) => (error ? reject(error) : resolve()));
  });
}
