/** Asks again when it may help: a bounded number of times, with growing pauses that no two processes share. */
import { setTimeout as delay } from 'node:timers/promises';
import { s3Error, s3Failure, type S3Place } from './s3-errors.ts';

export interface S3RetryOptions {
  /** Of one operation, the first included. */
  readonly triesMax: number;
  readonly firstPauseMs: number;
  readonly random: () => number;
}

export const s3RetryDefaults: S3RetryOptions = { triesMax: 5, firstPauseMs: 100, random: Math.random };
const pauseMaxMs = 5_000;

export class S3Retry {
  readonly #options: S3RetryOptions;
  readonly #closing = new AbortController();

  constructor(options: S3RetryOptions) {
    this.#options = options;
  }

  /** Ends pauses: what waits fails. */
  close(): void {
    this.#closing.abort();
  }

  /**
   * @param doing as in "cannot <doing>"
   * @param request the number of earlier tries is given: what they did is not known
   * @throws EngineError STORAGE_FAILED, STORAGE_FULL, or the engine error that `request` throws
   */
  async run<T>(doing: string, place: S3Place, request: (earlierTries: number) => Promise<T>): Promise<T> {
    for (let tries = 1; ; tries++) {
      try {
        return await request(tries - 1);
      } catch (error) {
        const canRetry = s3Failure(error)?.retry === true && !this.#closing.signal.aborted;
        if (!canRetry || tries >= this.#options.triesMax) throw s3Error(error, doing, place, tries);
        await this.#pause(tries);
      }
    }
  }

  async #pause(tries: number): Promise<void> {
    const { firstPauseMs, random } = this.#options;
    const ms = Math.min(firstPauseMs * 2 ** (tries - 1), pauseMaxMs) * (0.5 + random() / 2);
    // Ended early: the next try finds the store closed and says so.
    await delay(ms, undefined, { signal: this.#closing.signal }).catch(() => undefined);
  }
}
