import { parentPort } from 'node:worker_threads';
import { convertRows, type RowsToConvert } from './convert-rows.ts';

// A thread of `phiblocks quantize`: rows come, bytes go. Nothing is copied on the way back.
parentPort!.on('message', (rows: RowsToConvert) => {
  const result = convertRows(rows);
  parentPort!.postMessage(result, 'bytes' in result ? [result.bytes.buffer] : []);
});
