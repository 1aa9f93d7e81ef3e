/**
 * Sends the log lines of a task manager to the job manager that leads, in batches and one at a time. Never waited for: lines
 * that could not be sent stay in the ring and are sent later, or make room for newer ones there. A new leader is told all that
 * is still kept. Nothing here is logged, since that would be one more line to send.
 */
import { toWireError } from '../../core/errors.ts';
import type { LogBuffer } from '../../operations/log/log-buffer.ts';
import type { JobManagerGateway } from '../../proto/services.ts';

/** Who is told. */
export interface LogReader {
  readonly gateway: JobManagerGateway;
  readonly epoch: number;
  /** Id of this task manager, as the job manager knows it. */
  readonly taskManagerId: string;
}

/** Characters of one batch; a single line may be longer. */
export const batchCharactersMax = 256 * 1024;
/** Time between batches, in ms. */
export const shippingIntervalMs = 500;

export class LogShipping {
  readonly #logs: LogBuffer;
  readonly #reader: () => LogReader | null;
  #timer: NodeJS.Timeout | null = null;
  /** Epoch that lines were last sent to. */
  #epoch = 0;
  /** Number of the line to be sent next. */
  #next = 1;
  #sending = false;

  /** @param reader the job manager that is followed; null while there is none */
  constructor(logs: LogBuffer, reader: () => LogReader | null) {
    this.#logs = logs;
    this.#reader = reader;
  }

  start(): void {
    this.#timer = setInterval(() => void this.ship(), shippingIntervalMs);
    this.#timer.unref();
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
  }

  /** Sends what there is to send, unless that is being done. Never rejects. */
  async ship(): Promise<void> {
    const reader = this.#reader();
    if (reader === null || this.#sending) return;
    if (reader.epoch !== this.#epoch) {
      this.#epoch = reader.epoch;
      this.#next = 1;
    }
    const { firstNumber, lines } = this.#logs.own(this.#next, batchCharactersMax);
    if (lines.length === 0) return;
    const { gateway, epoch: leaderEpoch, taskManagerId } = reader;
    this.#sending = true;
    try {
      await gateway.reportLogs({ taskManagerId, leaderEpoch, firstNumber, lines });
      this.#sent(leaderEpoch, firstNumber + lines.length);
    } catch (error) {
      // Refused for good, and would be again: the lines after it are tried.
      if (toWireError(error).retry === 'never') this.#sent(leaderEpoch, firstNumber + lines.length);
    } finally {
      this.#sending = false;
    }
  }

  #sent(epoch: number, next: number): void {
    if (epoch === this.#epoch) this.#next = next;
  }
}
