import type { BackendName, Checkpoint } from '@phiblocks/runtime';
import type { Backend } from '@phiblocks/tensor';
import type { ModelConfig } from '@phiblocks/weights';
import type { Arithmetic } from './definition/arithmetic.ts';
import type { PartRunner, PartRunnerOptions } from './engine/part-runner.ts';
import type { Implementation } from './implementation.ts';
import type { Target } from './open-target.ts';
import type { MemberName } from './published/members.ts';
import type { Check, Figures, SuiteName } from './result.ts';

/** How a check is to be done. */
export interface CheckOptions {
  readonly suites?: readonly SuiteName[] | undefined;
  /** What computes in all suites but `backends`. Default `reference`. */
  readonly backend?: Exclude<BackendName, 'auto'> | undefined;
  readonly threads?: number | undefined;
  /** Positions at each station of the suite `blocks`. */
  readonly positions?: number | undefined;
  /** The published member that the model is said to be. */
  readonly member?: MemberName | undefined;
  /** For the suite `quantization`. */
  readonly text?: string | undefined;
  readonly formats?: readonly string[] | undefined;
  /** A file of intermediate tensors that `export_reference.py` wrote. */
  readonly against?: string | undefined;
  /** SHA-256 sums by file name, as `sha256sum` prints them. */
  readonly hashes?: ReadonlyMap<string, string> | undefined;
  /** Where interrupted checks are kept; none are kept when absent. */
  readonly stateDirectory?: string | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((suite: SuiteName, done: number, total: number) => void) | undefined;
  readonly implementation?: Implementation | undefined;
}

/** What a suite gets. */
export interface CheckContext {
  readonly target: Target;
  readonly checkpoint: Checkpoint;
  readonly options: CheckOptions;
  readonly implementation: Implementation;
  readonly arithmetic: Arithmetic;
  /** Throws when the check was interrupted. */
  readonly pause: () => Promise<void>;
  readonly progress: (done: number, total: number) => void;
  makeBackend(): Promise<Backend>;
  /** A runner on a new backend of the chosen kind; disposing of it disposes of the backend. */
  makeRunner(
    more?: Partial<PartRunnerOptions> & { readonly backend?: Backend; readonly config?: ModelConfig },
  ): Promise<PartRunner>;
  /** A state of this suite that an interruption left, and where to leave one. */
  loadState<State>(): State | undefined;
  saveState(state: object): Promise<void>;
}

/** What a suite finds. No checks at all is "not applicable", with a reason. */
export interface Findings {
  readonly checks: readonly Check[];
  readonly reason: string;
  readonly figures?: Figures | undefined;
}

export type Suite = (context: CheckContext) => Promise<Findings>;

export const notApplicable = (reason: string): Findings => ({ checks: [], reason });
