/**
 * Who waits for a checkpoint that was asked for: each is answered by the first checkpoint that was triggered after the request
 * and is complete. Requests wait through restarts, which no timer of the model remembers.
 */
import { EngineError } from '../core/errors.ts';
import type { JobNotice } from './model/job-master-protocol.ts';

/** Somebody who waits. */
export interface Waiting {
  /** Newest checkpoint that was triggered before the request. */
  readonly afterId: number;
  readonly resolve: (checkpointId: number) => void;
  readonly reject: (error: EngineError) => void;
}

export class CheckpointRequests {
  readonly #jobName: string;
  readonly #wanted: 'any' | 'savepoint' | 'stop';
  #newestTriggered = 0;
  #waiting: Waiting[] = [];

  /** @param wanted which checkpoints answer: all, those that are pinned, or the one with which the job stops */
  constructor(jobName: string, wanted: 'any' | 'savepoint' | 'stop' = 'any') {
    this.#jobName = jobName;
    this.#wanted = wanted;
  }

  /** Resolves with the id of the checkpoint. @throws EngineError CHECKPOINT_FAILED */
  add(): Promise<number> {
    return new Promise((resolve, reject) => this.wait(resolve, reject));
  }

  /** As `add`, answered within the call that brings the answer. */
  wait(resolve: Waiting['resolve'], reject: Waiting['reject']): Waiting {
    const waiting = { afterId: this.#newestTriggered, resolve, reject };
    this.#waiting.push(waiting);
    return waiting;
  }

  /** Who has waited long enough without a checkpoint being triggered is refused; one under way has a timeout of its own. */
  expire(waiting: Waiting, what: string): void {
    if (!this.#waiting.includes(waiting) || this.#newestTriggered > waiting.afterId) return;
    this.#waiting = this.#waiting.filter((other) => other !== waiting);
    waiting.reject(this.#error(what));
  }

  triggered(checkpointId: number): void {
    this.#newestTriggered = Math.max(this.#newestTriggered, checkpointId);
  }

  /** Takes what the job master tells; true when a checkpoint is to be asked for again. */
  noticed(notice: JobNotice): boolean {
    const isCheckpoint = notice.kind === 'checkpoint-completed' || notice.kind === 'checkpoint-aborted';
    if (this.#wanted !== 'any' && isCheckpoint && notice[this.#wanted] !== true) return false;
    switch (notice.kind) {
      case 'checkpoint-completed':
        this.#answer(notice.checkpointId, ({ resolve }) => resolve(notice.checkpointId));
        return false;
      case 'checkpoint-aborted':
        this.#answer(notice.checkpointId, ({ reject }) =>
          reject(this.#error(`checkpoint ${notice.checkpointId} was given up: ${notice.reason}`)),
        );
        return false;
      case 'state-changed':
        // What was asked for before may never have been triggered: the attempt was not running yet, or failed first.
        return notice.to === 'running' && this.#waiting.length > 0;
      case 'adopted':
      case 'rescaled':
      case 'attempt-failed':
      case 'warning':
        return false;
    }
  }

  jobEnded(): void {
    this.rejectAll('it ended before a checkpoint was taken');
  }

  rejectAll(what: string): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const { reject } of waiting) reject(this.#error(what));
  }

  #answer(checkpointId: number, answer: (waiting: Waiting) => void): void {
    const answered = this.#waiting.filter(({ afterId }) => checkpointId > afterId);
    this.#waiting = this.#waiting.filter(({ afterId }) => checkpointId <= afterId);
    for (const waiting of answered) answer(waiting);
  }

  #error(what: string): EngineError {
    return new EngineError(
      'CHECKPOINT_FAILED',
      `the ${this.#wanted === 'any' ? 'checkpoint' : 'savepoint'} asked for of job "${this.#jobName}": ${what}`,
      {
        domain: 'external',
        retry: 'backoff',
        ids: { jobName: this.#jobName },
      },
    );
  }
}
