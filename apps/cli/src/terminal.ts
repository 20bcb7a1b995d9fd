import { Presets, SingleBar } from 'cli-progress';

/** Shows how far long work has come. */
export interface Progress {
  update(done: number, total: number): void;
  end(): void;
}

/** Work that takes less than this is not worth a line. */
const quietMs = 1000;
/** Where there is no terminal, a line at most every so often. */
const lineIntervalMs = 5000;

/**
 * Progress on standard error: a bar on a terminal, plain lines elsewhere, nothing for short work.
 *
 * @param label - what is being done, for example `Loading`
 */
export function createProgress(label: string): Progress {
  const started = performance.now();
  let bar: SingleBar | undefined;
  let lastLine = started + quietMs - lineIntervalMs;
  return {
    update(done, total) {
      const now = performance.now();
      if (now - started < quietMs) return;
      const percentage = total > 0 ? Math.floor((100 * done) / total) : 100;
      if (process.stderr.isTTY) {
        if (!bar) {
          const format = `${label} {bar} {percentage} %`;
          bar = new SingleBar(
            { format, stream: process.stderr, clearOnComplete: true, hideCursor: true },
            Presets.rect,
          );
          bar.start(100, percentage);
        }
        bar.update(percentage);
      } else if (now - lastLine >= lineIntervalMs) {
        lastLine = now;
        process.stderr.write(`${label}: ${percentage} %\n`);
      }
    },
    end() {
      bar?.stop();
    },
  };
}

/** A line on standard error that is not an error. */
export function note(text: string): void {
  process.stderr.write(`${text}\n`);
}

/**
 * The first Ctrl-C (or SIGTERM) aborts the signal, so that work ends cleanly with what it has; the second ends the process
 * at once.
 */
export function createInterrupt(): { signal: AbortSignal; release(): void } {
  const controller = new AbortController();
  const stop = (name: NodeJS.Signals): void => {
    if (controller.signal.aborted) process.exit(exitStatusOf(name));
    controller.abort(new Error(`stopped by ${name}`));
    process.exitCode = exitStatusOf(name);
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

/** What a shell reports for a process that a signal ended. */
function exitStatusOf(signal: NodeJS.Signals): number {
  return signal === 'SIGTERM' ? 143 : 130;
}

/** Writes to standard output and waits until it is taken, so that a slow reader slows the work and nothing piles up. */
export function print(text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    process.stdout.write(text, (error) => (error ? reject(error) : resolve()));
  });
}
