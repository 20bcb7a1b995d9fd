import type { BrowserCommand } from 'vitest/node';
import { patternedSafetensors } from '../internal/testing/src/patterned-safetensors.ts';
import { heldFile, type RangeServer, refuse, startRangeServer } from '../internal/testing/src/range-server.ts';

// Commands for tests in a browser: a checkpoint that is larger than anything should hold, on a server of its own.

let server: RangeServer | undefined;

/** What was asked of the server so far. */
export interface RangeServerTraffic {
  readonly answers: number;
  readonly answeredBytes: number;
  readonly largestAnswerInBytes: number;
}

/** Serves `config.json`, and a `model.safetensors` with tensors of these shapes that is made as it is read. */
export const servePatternedCheckpoint: BrowserCommand<[config: string, shapes: [string, number[]][]]> = async (
  _context,
  config,
  shapes,
) => {
  server?.close();
  const weights = patternedSafetensors(shapes);
  const configFile = heldFile(new TextEncoder().encode(config));
  server = await startRangeServer((path, response) => {
    if (path === 'model.safetensors') return weights;
    return path === 'config.json' ? configFile : refuse(response, 404);
  });
  return {
    address: server.address,
    sizeInBytes: weights.sizeInBytes,
    largestTensorInBytes: weights.largestTensorInBytes,
  };
};

export const rangeServerTraffic: BrowserCommand<[]> = (): RangeServerTraffic => {
  const answered = server?.answered ?? [];
  return {
    answers: answered.length,
    answeredBytes: answered.reduce((sum, bytes) => sum + bytes, 0),
    largestAnswerInBytes: Math.max(0, ...answered),
  };
};

export const stopRangeServer: BrowserCommand<[]> = () => {
  server?.close();
  server = undefined;
};
