// Loaded before every test file (vitest.base.ts), and by NODE_OPTIONS into every Node that a test starts: no socket leaves
// the machine, and one on the loopback interface needs a test that asked for it. Worker threads of the test process itself are not
// covered: Node gives them the flags that the process began with. Plain JavaScript, because Node 20 loads no
// TypeScript.
import dns from 'node:dns';
import { syncBuiltinESMExports } from 'node:module';
import net from 'node:net';

const installed = Symbol.for('phiblocks.testing.noNetwork');
const loopbackVariable = 'PHIBLOCKS_TEST_LOOPBACK';

/** @param {string | undefined} host */
function isLoopback(host) {
  return host === undefined || host === 'localhost' || host === '::1' || /^127\./.test(host);
}

/** @param {string} what */
function refuse(what) {
  const error = new Error(
    `NETWORK a test reached for ${what}. Tests use no network; one that needs the loopback interface calls allowLoopback().`,
  );
  // What swallows the error does not hide it: a test file is failed after its tests, a process ends at once.
  globalThis[installed].attempts.push(error);
  if (!globalThis[installed].isTestFile) {
    process.stderr.write(`${error.message}\n`);
    process.exit(97);
  }
  throw error;
}

/** @param {string | undefined} host */
function expectAllowed(host) {
  if (isLoopback(host) && process.env[loopbackVariable] === '1') return;
  refuse(`${host ?? 'the loopback interface'}`);
}

if (globalThis[installed] === undefined) {
  globalThis[installed] = { attempts: [], isTestFile: false };

  const connect = net.Socket.prototype.connect;
  net.Socket.prototype.connect = function guarded(...args) {
    // Options, options in an array (as `net.connect` passes them on), a port with a host, or the path of a local socket.
    const [first, second] = Array.isArray(args[0]) ? args[0] : args;
    const options = typeof first === 'object' && first !== null ? first : { port: first, host: second };
    const isLocalSocket =
      typeof options.path === 'string' || (typeof first === 'string' && Number.isNaN(Number(first)));
    if (!isLocalSocket) expectAllowed(typeof options.host === 'string' ? options.host : undefined);
    return connect.apply(this, args);
  };

  for (const owner of [dns, dns.promises]) {
    for (const name of ['lookup', 'resolve', 'resolve4', 'resolve6']) {
      const original = owner[name];
      owner[name] = (host, ...more) => {
        if (net.isIP(host) === 0) expectAllowed(host);
        return original.call(owner, host, ...more);
      };
    }
  }

  syncBuiltinESMExports();
}
