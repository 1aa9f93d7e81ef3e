/**
 * The seam between the commands of the CLI and the embedded engine (`run-embedded.ts`: one job manager and one task
 * manager in one process). Plain data and callbacks only, so that the commands know nothing of either process.
 */
import type { ConnectorLogger } from '../../core/connector/index.ts';
import type { EngineError } from '../../core/errors.ts';
import type { JobGraph } from '../../core/graph/job-graph.ts';

/** What a run knows of itself at one moment; counts cover the whole job, across restarts and resumed runs. */
export interface RunProgress {
  /** State of the job: created, deploying, running, restarting, stopping, finished, failed … */
  readonly state: string;
  readonly recordsIn: number;
  readonly recordsOut: number;
  readonly lateRecords: number;
  /** Lowest watermark over all subtasks, in ms of event time; -Infinity before the first, Infinity after the last. */
  readonly watermarkMs: number;
  /**
   * The source subtask whose event time is lowest, of those that wait for silent splits; null when there is none: no strategy
   * with watermarks, an idle timeout, or everything has ended.
   */
  readonly timeHeldBy: { readonly operator: string; readonly subtask: number; readonly watermarkMs: number } | null;
  readonly lastCheckpoint: { readonly id: number; readonly completedAtMs: number; readonly bytes: number } | null;
  /** The checkpoint this run went on from, and how many source records it covers; null for a fresh start. */
  readonly restored: { readonly checkpointId: number; readonly sourceRecords: number } | null;
  readonly restarts: number;
  /** User and connector counters by name (`malformedRecords`), summed over subtasks. */
  readonly counters: Readonly<Record<string, number>>;
}

export interface PortRange {
  readonly first: number;
  readonly last: number;
}

/** How a run ended. `stopped` may be resumed; `error` is set exactly when the state is `failed`. */
export interface RunOutcome {
  readonly state: 'finished' | 'stopped' | 'failed' | 'canceled';
  readonly error: EngineError | null;
  readonly progress: RunProgress;
}

export interface RunEmbeddedOptions {
  readonly graph: JobGraph;
  readonly graphHash: string;
  /** Hashes of earlier graphs of the job whose state means the same to this one; none when absent. */
  readonly restorableGraphHashes?: readonly string[];
  readonly artifact: { readonly path: string; readonly sha256: string };
  /** Root of the object store: checkpoints, manifests, pointer. Exists and belongs to this run alone. */
  readonly directory: string;
  /** What relative paths in connector options are resolved against. */
  readonly workingDirectory: string;
  readonly slots: number;
  readonly engineVersion: string;
  /** A subtask that does not return to its slot loop for this long is ended, in ms; default 60,000. */
  readonly slotStuckTimeoutMs?: number;
  /** Ports for the connections between slots, both ends inclusive; any free ones when absent. Opened only with several slots. */
  readonly dataPorts?: PortRange | null;
  readonly backend: 'memory' | 'cold';
  /**
   * Go on from the newest checkpoint of `directory`; from the beginning when none was completed yet. False when the
   * directory is empty. A job whose end is already recorded there resolves with that end.
   */
  readonly resume: boolean;
  /** Aborted to stop with a last checkpoint. */
  readonly stop: AbortSignal;
  /** Called once, before the first progress: where the run begins. */
  onStart?(restored: RunProgress['restored']): void;
  /** Called about once a second and on each change of state. */
  onProgress(progress: RunProgress): void;
  /** Values handed over by `collect()` sinks, at most once per id. */
  onDelivery(channel: string, id: string, values: readonly unknown[]): void;
  readonly logger: ConnectorLogger;
}

/** Runs one job to its end. Resolves with how it ended; rejects only when it could not be started. */
export type RunEmbedded = (options: RunEmbeddedOptions) => Promise<RunOutcome>;
