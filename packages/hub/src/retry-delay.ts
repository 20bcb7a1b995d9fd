import type { HubClock } from './clock.ts';

const firstDelayMs = 500;
const longestDelayMs = 30_000;
/** A server that asks for more than this is not waited for: the error says when to come back. */
export const longestRetryAfterMs = 120_000;

/**
 * How long to wait before the next attempt: doubling from half a second up to 30 s, of which a random half is taken off so
 * that many clients do not come back together; or what the server asks for by `Retry-After`, and up to a tenth more.
 *
 * @param attempt - 0 before the first repetition
 * @param retryAfter - the header: seconds, or a date
 */
export function retryDelayMs(
  attempt: number,
  retryAfter: string | null,
  clock: Pick<HubClock, 'now' | 'random'>,
): number {
  const asked = parseRetryAfterMs(retryAfter, clock.now());
  if (asked !== undefined) return asked * (1 + clock.random() / 10);
  return Math.min(longestDelayMs, firstDelayMs * 2 ** attempt) * (1 - clock.random() / 2);
}

/** `Retry-After` in milliseconds; undefined when it is absent or neither seconds nor a date. RFC 9110 §10.2.3. */
export function parseRetryAfterMs(header: string | null, now: number): number | undefined {
  if (header === null) return undefined;
  if (/^\s*\d{1,9}\s*$/.test(header)) return Number(header) * 1000;
  const date = Date.parse(header);
  return Number.isNaN(date) ? undefined : Math.max(0, date - now);
}
