/**
 * The last checkpoints and failures of each job, as this leader saw them: for those who look. Bounded by number of entries
 * and of jobs; what happened under an earlier leader is in its log.
 */
import type { WireError } from '../../core/errors.ts';
import type { Manifest } from '../../proto/messages.ts';
import type { JobNotice } from '../model/job-master-protocol.ts';

/** Entries kept of each kind for each job. */
export const historyEntriesMax = 50;
/** Jobs of which anything is kept; the one heard of least recently makes room. */
export const historyJobsMax = 500;

export interface CheckpointEntry {
  readonly id: number;
  readonly status: 'completed' | 'failed';
  /** When it was completed or given up. */
  readonly endedAtMs: number;
  readonly durationMs: number | null;
  /** What the subtasks wrote. */
  readonly bytes: number | null;
  /** All files that a restore reads. */
  readonly stateBytes: number | null;
  /** Longest alignment of a subtask. */
  readonly alignmentMs: number | null;
  /** Why it was given up. */
  readonly reason: string | null;
}

export interface ExceptionEntry {
  readonly atMs: number;
  readonly attempt: number;
  readonly error: WireError;
  /** Whether another attempt followed. */
  readonly restarts: boolean;
}

export interface JobHistoryEntry {
  /** Newest first. */
  readonly checkpoints: readonly CheckpointEntry[];
  /** Newest first. */
  readonly exceptions: readonly ExceptionEntry[];
  readonly completedCheckpoints: number;
  readonly failedCheckpoints: number;
  readonly restarts: number;
}

interface Kept extends JobHistoryEntry {
  readonly checkpoints: CheckpointEntry[];
  readonly exceptions: ExceptionEntry[];
  completedCheckpoints: number;
  failedCheckpoints: number;
  restarts: number;
}

const empty = (): Kept => {
  return { checkpoints: [], exceptions: [], completedCheckpoints: 0, failedCheckpoints: 0, restarts: 0 };
};

export class JobHistory {
  readonly #nowMs: () => number;
  readonly #jobs = new Map<string, Kept>();

  /** @param nowMs wall clock, ms since the epoch */
  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /** Empty for a job that was not heard of. */
  of(jobId: string): JobHistoryEntry {
    return this.#jobs.get(jobId) ?? empty();
  }

  /** @param newest manifest of the newest checkpoint of the job, where it is known */
  noticed(notice: JobNotice, jobId: string, newest: Manifest | null): void {
    switch (notice.kind) {
      case 'checkpoint-completed': {
        const job = this.#kept(jobId);
        job.completedCheckpoints++;
        return push(job.checkpoints, completed(notice, newest, this.#nowMs()));
      }
      case 'checkpoint-aborted': {
        const job = this.#kept(jobId);
        job.failedCheckpoints++;
        const nothing = { durationMs: null, bytes: null, stateBytes: null, alignmentMs: null };
        const { checkpointId: id, reason } = notice;
        return push(job.checkpoints, { id, status: 'failed', endedAtMs: this.#nowMs(), ...nothing, reason });
      }
      case 'attempt-failed': {
        const job = this.#kept(jobId);
        const { attempts, error, restarts } = notice;
        const attempt = Math.max(...attempts);
        if (restarts) job.restarts++;
        return push(job.exceptions, { atMs: this.#nowMs(), attempt, error, restarts });
      }
      default:
    }
  }

  #kept(jobId: string): Kept {
    const kept = this.#jobs.get(jobId) ?? empty();
    // The order of the map is the order of being heard of.
    this.#jobs.delete(jobId);
    this.#jobs.set(jobId, kept);
    for (const oldest of this.#jobs.keys()) {
      if (this.#jobs.size <= historyJobsMax) break;
      this.#jobs.delete(oldest);
    }
    return kept;
  }
}

function push<Entry>(entries: Entry[], entry: Entry): void {
  entries.unshift(entry);
  if (entries.length > historyEntriesMax) entries.pop();
}

function completed(
  { checkpointId: id, durationMs, bytes }: JobNotice & { kind: 'checkpoint-completed' },
  newest: Manifest | null,
  endedAtMs: number,
): CheckpointEntry {
  const manifest = newest?.checkpointId === id ? newest : null;
  return {
    id,
    status: 'completed',
    endedAtMs,
    durationMs,
    bytes,
    stateBytes: manifest === null ? null : manifest.files.reduce((sum, entry) => sum + entry.file.object.bytes, 0),
    alignmentMs: manifest === null ? null : Math.max(0, ...manifest.subtasks.map((subtask) => subtask.alignmentMs)),
    reason: null,
  };
}
