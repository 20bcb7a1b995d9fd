import { openTarget, type Target } from './open-target.ts';

export interface OpenModelOptions {
  /** Whether a name may be looked up on the hub. */
  readonly download: boolean;
  readonly revision: string | undefined;
  readonly signal: AbortSignal;
}

/** Opens what the command line names. */
export async function openModel(model: string, _options: OpenModelOptions): Promise<Target> {
  return openTarget(model);
}
