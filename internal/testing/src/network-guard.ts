import './no-network.mjs';

const state = Symbol.for('phiblocks.testing.noNetwork');

/**
 * Lets the tests of this file, and the processes they start, use the loopback interface. {@link startHubServer} does it too.
 * Everything beyond stays closed.
 */
export function allowLoopback(): void {
  process.env.PHIBLOCKS_TEST_LOOPBACK = '1';
}

interface GuardState {
  readonly attempts: Error[];
  /** In a test file an attempt is an error that a test may look at; in a process it is the end. */
  isTestFile: boolean;
}

function guardState(): GuardState {
  return (globalThis as { [state]?: GuardState })[state]!;
}

/** For the set-up of test files. */
export function markTestFile(): void {
  guardState().isTestFile = true;
}

/** What the tests of this file reached for, as errors, also those that something swallowed. Empties the list. */
export function networkAttempts(): Error[] {
  return guardState().attempts.splice(0);
}
