import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describeWithShared, type HubServer, sharedPath, startHubServer } from '@phiblocks/testing';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { runCli } from './run-cli.ts';

type Where = NonNullable<Parameters<typeof runCli>[3]>;

// The whole way on a real (tiny) checkpoint, from a hub on the loopback interface.
describeWithShared('--model owner/name', 'models/stories260k-phi3', () => {
  const model = 'tiny/stories260k-phi3';
  let server: HubServer;
  let folder: string;
  let files: Map<string, Uint8Array>;
  beforeEach(async () => {
    const path = sharedPath('models', 'stories260k-phi3');
    const names = (await readdir(path)).filter((name) => /\.(json|safetensors)$/.test(name));
    files = new Map(await Promise.all(names.map(async (name) => [name, await readFile(join(path, name))] as const)));
    folder = await mkdtemp(join(tmpdir(), 'phiblocks cli '));
    server = await startHubServer({ repositories: new Map([[model, files]]) });
  });
  afterEach(async () => {
    await server.close();
    await rm(folder, { recursive: true, force: true });
  });
  const environment = () => ({ HF_HOME: folder, HF_ENDPOINT: server.endpoint, HF_TOKEN: '', HF_HUB_OFFLINE: '' });
  const run = (args: string[], where: Where = {}, onStart?: Parameters<typeof runCli>[2]) =>
    runCli(args, undefined, onStart, { environment: environment(), ...where });
  const generate = ['generate', '--prompt', 'Once', '--max-new-tokens', '3', '--backend', 'reference'];

  it('fetches it once, and then needs no network', async () => {
    const first = await run([...generate, '--model', model]);
    expect(first).toMatchObject({ status: 0, stderr: '' });
    const fromDisk = await run([...generate, '--model', sharedPath('models', 'stories260k-phi3')]);
    expect(first.stdout).toBe(fromDisk.stdout);
    const asked = server.requests.length;
    const second = await run([...generate, '--model', model, '--offline']);
    expect(second).toMatchObject({ status: 0, stdout: first.stdout });
    expect(server.requests).toHaveLength(asked);
  });

  it('fetches no weights for a tokenizer', async () => {
    const { status, stdout } = await run(['tokenize', '--model', model, '--text', 'Once', '--json']);
    expect(status).toBe(0);
    expect(JSON.parse(stdout).ids.length).toBeGreaterThan(0);
    expect(server.requests.filter(({ file }) => file?.endsWith('.safetensors'))).toEqual([]);
  });

  it('says what is missing offline, on one line, with status 1', async () => {
    const { status, stderr } = await run([...generate, '--model', model, '--offline']);
    expect(status).toBe(1);
    expect(stderr).toMatch(/^phiblocks: HUB_OFFLINE .*everything at main.*\n$/);
    expect(server.requests).toEqual([]);
  });

  it('takes a path that exists for the path, and a path that does not for one too', async () => {
    const { status } = await run([...generate, '--model', 'stories260k-phi3'], { folder: sharedPath('models') });
    expect(status).toBe(0);
    const missing = await run([...generate, '--model', 'models/missing.gguf']);
    expect(missing.stderr).toMatch(/CHECKPOINT_NOT_FOUND/);
    expect(server.requests).toEqual([]);
  });

  it('Ctrl-C keeps what was received, says how to go on, and the next run goes on', async () => {
    let stopped = false;
    let stop = (): void => {};
    server.setFault((request, response, bytes) => {
      if (request.file !== 'model.safetensors' || stopped) return false;
      stopped = true;
      response.writeHead(200, { 'content-length': bytes!.byteLength });
      response.write(bytes!.subarray(0, 100_000), () => setTimeout(stop, 300));
      return true;
    });
    const first = await run([...generate, '--model', model], {}, (child) => {
      stop = () => child.kill('SIGINT');
    });
    expect(first).toMatchObject({ status: 130, stdout: '' });
    expect(first.stderr).toMatch(/what was received is kept, and the same command goes on/);
    const second = await run([...generate, '--model', model]);
    expect(second.status).toBe(0);
    expect(server.requests.at(-1)!.headers.range).toBe('bytes=100000-');
  });
});
