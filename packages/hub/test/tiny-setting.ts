import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startHubServer } from '@phiblocks/testing';
import { afterAll } from 'vitest';
import { tinyRepository } from './tiny-repository.ts';

/** What examples speak of: a folder for the cache, and the endpoint of a hub with the repository `tiny/checkpoint`. */
export async function tinySetting(): Promise<{ folder: string; endpoint: string }> {
  const folder = await mkdtemp(join(tmpdir(), 'phiblocks-examples-'));
  const server = await startHubServer({ repositories: new Map([['tiny/checkpoint', tinyRepository()]]) });
  afterAll(async () => {
    await server.close();
    await rm(folder, { recursive: true, force: true });
  });
  return { folder, endpoint: server.endpoint };
}
