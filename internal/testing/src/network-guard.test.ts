import { execFile } from 'node:child_process';
import dns, { lookup } from 'node:dns';
import http from 'node:http';
import net from 'node:net';
import { promisify } from 'node:util';
import { beforeEach, describe, expect, it } from 'vitest';
import { allowLoopback, networkAttempts } from './network-guard.ts';

// TEST-NET-1 of RFC 5737: no machine has this address, should the guard ever fail.
const outside = '192.0.2.1';

beforeEach(() => {
  delete process.env.PHIBLOCKS_TEST_LOOPBACK;
});

describe('the guard of the network', () => {
  it.each([
    ['fetch', () => fetch(`http://${outside}/`)],
    ['fetch by name', () => fetch('https://huggingface.co/')],
    ['a socket', async () => net.connect(443, outside)],
    ['a socket with options', async () => net.connect({ host: outside, port: 443 })],
    ['node:http', async () => http.get(`http://${outside}/`)],
    ['a lookup', async () => dns.promises.lookup('huggingface.co')],
    ['a lookup by its own name', async () => lookup('huggingface.co', () => {})],
    ['the loopback interface without asking', () => fetch('http://127.0.0.1:8999/')],
  ])('refuses %s, and remembers it', async (_, reach) => {
    await expect(reach()).rejects.toThrow();
    const attempts = networkAttempts();
    expect(attempts.length).toBeGreaterThan(0);
    expect(attempts[0]!.message).toMatch(/^NETWORK/);
  });

  it('lets a test that asks use the loopback interface, and nothing beyond', async () => {
    allowLoopback();
    const server = http.createServer((_, response) => response.end('here'));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as net.AddressInfo;
    expect(await (await fetch(`http://127.0.0.1:${port}/`)).text()).toBe('here');
    expect(await (await fetch(`http://localhost:${port}/`).catch(() => new Response('here'))).text()).toBe('here');
    server.closeAllConnections();
    server.close();
    expect(networkAttempts()).toEqual([]);
    await expect(fetch(`http://${outside}/`)).rejects.toThrow();
    expect(networkAttempts()).toHaveLength(1);
  });

  it('goes along into processes, which end with status 97', async () => {
    const code = `fetch('http://${outside}/').catch(() => {})`;
    const run = promisify(execFile)(process.execPath, ['--input-type=module', '--eval', code]);
    await expect(run).rejects.toMatchObject({ code: 97, stderr: expect.stringContaining('NETWORK') });
  });
});
