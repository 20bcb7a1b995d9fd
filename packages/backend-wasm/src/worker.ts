import { nodeWorkerThreads } from './host.ts';
import { isWorkerStart, runWorker } from './run-worker.ts';

// The module is the program of a worker, and may be imported elsewhere without consequence: it listens only where it finds
// itself in a worker. Neither it nor what it imports may import a package by name: the import map of a page without a bundler
// does not count in workers.
const node = nodeWorkerThreads();
if (node) {
  const port = node.parentPort;
  port?.once('message', (message) => {
    if (!isWorkerStart(message)) return;
    void runWorker(message, () => port.postMessage('ready')).then(() => port.close());
  });
} else if (typeof self !== 'undefined' && typeof document === 'undefined') {
  self.addEventListener('message', ({ data }) => {
    if (!isWorkerStart(data)) return;
    void runWorker(data, () => self.postMessage('ready')).then(() => self.close());
  });
}
