/** Placeholder of the embedded engine; replaced by the job manager and task manager wired together. */
import { EngineError } from '../../core/errors.ts';
import type { RunEmbeddedOptions, RunOutcome } from './run-types.ts';

/** Runs one job in this process. */
export function runEmbedded(options: RunEmbeddedOptions): Promise<RunOutcome> {
  const error = new EngineError('NOT_SUPPORTED', `this build has no embedded engine; job ${options.graph.name} cannot run`);
  return Promise.reject(error);
}
