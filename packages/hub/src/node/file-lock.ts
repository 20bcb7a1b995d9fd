import { readlinkSync } from 'node:fs';
import { mkdir, readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { Phi3Error } from '@phiblocks/tensor';
import { type HubClock, systemClock } from '../clock.ts';
import type { HubErrorCode } from '../error-codes.ts';
import type { CacheLock, LockOptions } from '../storage.ts';

/** Times of the lock, for tests. */
export interface FileLockOptions {
  readonly clock?: HubClock;
  /** How often the holder shows that it lives. Default: 5 s. */
  readonly heartbeatMs?: number;
  /** A holder that has not shown it for so long is taken for dead. Default: 60 s. */
  readonly staleAfterMs?: number;
  /** How often others look. Default: 200 ms. */
  readonly pollMs?: number;
}

const ending = '.phiblocks.lock';

/**
 * A lock between processes, of plain files. Node has no lock of the operating system, and a file that everyone tries to
 * create would have to be taken away from a dead process, which two may do at once. So everyone has a file of their own:
 *
 * - whoever wants the lock makes a file `<path>.<time>.<id>.phiblocks.lock` and then looks which others there are;
 * - it holds the lock when no other living one is there. Two that come at once see each other, and the one that came later
 *   takes its file back; so never do two hold it;
 * - a holder touches its file every few seconds. A file whose process is gone, or that was not touched for a minute, counts for
 *   nothing and is removed by the next holder. A holder that finds its own file gone has lost the lock and must stop.
 */
export async function createFileLock(
  path: string,
  { signal, onWait }: LockOptions,
  { clock = systemClock, heartbeatMs = 5000, staleAfterMs = 60_000, pollMs = 200 }: FileLockOptions = {},
): Promise<CacheLock> {
  const folder = dirname(path);
  await mkdir(folder, { recursive: true });
  const name = `${basename(path)}.${String(clock.now()).padStart(15, '0')}.${crypto.randomUUID().slice(0, 8)}${ending}`;
  const mine = join(folder, name);
  let isMade = false;
  let hasWaited = false;
  try {
    for (;;) {
      if (!isMade) {
        await writeFile(mine, JSON.stringify({ pid: process.pid, host: hostOfThisProcess() }), { flag: 'wx' });
        isMade = true;
      }
      const living: string[] = [];
      for (const other of await rivals(folder, basename(path))) {
        if (other === name) continue;
        if (await isLiving(join(folder, other), staleAfterMs)) living.push(other);
      }
      if (living.length === 0) break;
      if (!hasWaited) onWait?.();
      hasWaited = true;
      if (living.some((other) => other < name)) {
        await rm(mine, { force: true });
        isMade = false;
      }
      await clock.sleep(pollMs * (1 + clock.random() / 2), signal);
      if (isMade) await touch(mine);
    }
  } catch (error) {
    if (isMade) await rm(mine, { force: true });
    throw error;
  }
  for (const other of await rivals(folder, basename(path))) {
    if (other !== name && !(await isLiving(join(folder, other), staleAfterMs)))
      await rm(join(folder, other), { force: true });
  }

  const heartbeat = setInterval(() => void touch(mine).catch(() => {}), heartbeatMs);
  heartbeat.unref();
  return {
    async expectHeld() {
      if (
        await stat(mine).then(
          () => true,
          () => false,
        )
      )
        return;
      throw new Phi3Error<HubErrorCode>({
        code: 'CACHE_LOCK_LOST',
        function: 'fetchCheckpoint',
        expected: 'the lock that this process held',
        got: 'another holder',
        where: { file: path },
        hint: 'The process stood still for longer than a minute. Call again; what was received is kept.',
        retryable: true,
      });
    },
    async release() {
      clearInterval(heartbeat);
      await rm(mine, { force: true });
    },
  };
}

async function rivals(folder: string, base: string): Promise<string[]> {
  const names = await readdir(folder);
  return names.filter((name) => name.startsWith(`${base}.`) && name.endsWith(ending));
}

async function touch(path: string): Promise<void> {
  const now = new Date();
  await utimes(path, now, now);
}

async function isLiving(path: string, staleAfterMs: number): Promise<boolean> {
  try {
    const { mtimeMs } = await stat(path);
    if (Date.now() - mtimeMs > staleAfterMs) return false;
    const { pid, host } = JSON.parse(await readFile(path, 'utf8')) as { pid?: unknown; host?: unknown };
    return host !== hostOfThisProcess() || typeof pid !== 'number' || isRunning(pid);
  } catch (error) {
    // Gone meanwhile; or just made and not written yet, which is young and therefore lives.
    return (error as { code?: unknown }).code !== 'ENOENT';
  }
}

/** Process ids mean something only on one machine, and there only within one container. */
function hostOfThisProcess(): string {
  try {
    return `${hostname()} ${readlinkSync('/proc/self/ns/pid')}`;
  } catch {
    return hostname();
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as { code?: unknown }).code === 'EPERM';
  }
}
