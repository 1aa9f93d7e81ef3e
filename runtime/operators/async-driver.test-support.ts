/**
 * Drives an asynchronous operator as its subtask does, with functions that a test answers by hand and a clock that it moves.
 */
import type { JsonObject } from '../../core/plain-data.ts';
import type { AsyncCallContext } from '../../core/operators.ts';
import { CheckpointImage, OperatorHarness } from '../../testing/operator-harness.ts';
import { AsyncMapOperator } from './async-map.ts';
import type { DeferringHead, RestoredRow } from './operator.ts';

/** One call that the operator has made. */
export interface MadeCall {
  readonly value: unknown;
  readonly call: AsyncCallContext;
  readonly answer: (result: unknown) => void;
  readonly reject: (error: unknown) => void;
}

export interface DriverOptions {
  readonly order?: 'ordered' | 'unordered';
  readonly flat?: boolean;
  readonly onTimeout?: JsonObject[string];
  readonly onError?: JsonObject[string];
  readonly timeoutMs?: number;
  readonly capacity?: number;
  readonly retry?: JsonObject | null;
  readonly retryIf?: (error: unknown) => boolean;
  readonly replace?: (value: never) => unknown;
  readonly signal?: AbortSignal;
  readonly parallelism?: number;
  readonly subtaskIndex?: number;
  readonly restore?: readonly RestoredRow[];
  readonly open?: () => void;
  readonly close?: () => void;
}

export class AsyncDriver {
  /** Calls in the order in which they were made. */
  readonly calls: MadeCall[] = [];
  /** Values and times in the order in which they came out: `1`, `2`, `watermark 10`, `idle`. */
  readonly log: unknown[] = [];
  readonly image = new CheckpointImage();
  harness!: OperatorHarness<'async-map'>;
  #seen = 0;

  static async open(options: DriverOptions = {}): Promise<AsyncDriver> {
    const driver = new AsyncDriver();
    const { retryIf, replace, signal, open, close } = options;
    driver.harness = await OperatorHarness.open<'async-map'>({
      create: (context) => new AsyncMapOperator(context),
      functions: {
        kind: 'async-map',
        call: {
          ...(open === undefined ? {} : { open }),
          ...(close === undefined ? {} : { close }),
          call: (value: never, call: AsyncCallContext) =>
            new Promise<unknown>((answer, reject) => driver.calls.push({ value, call, answer, reject })),
        },
        ...(replace === undefined ? {} : { onTimeout: replace }),
        ...(retryIf === undefined ? {} : { retryIf }),
      },
      config: {
        order: options.order ?? 'ordered',
        flat: options.flat ?? false,
        onTimeout: options.onTimeout ?? 'fail',
        onError: options.onError ?? 'fail',
      },
      tuning: {
        capacity: options.capacity ?? 100,
        timeoutMs: options.timeoutMs ?? 10_000,
        retry: options.retry ?? null,
      },
      ...(signal === undefined ? {} : { signal }),
      parallelism: options.parallelism ?? 1,
      subtaskIndex: options.subtaskIndex ?? 0,
      ...(options.restore === undefined ? {} : { restore: options.restore }),
    });
    return driver;
  }

  get head(): DeferringHead {
    return this.harness.operator as unknown as DeferringHead;
  }

  /** Values sent so far, in the order of the calls. */
  get sent(): unknown[] {
    return this.calls.map((call) => call.value);
  }

  /** Records, as many as are given, whatever the capacity. */
  async send(...values: readonly unknown[]): Promise<void> {
    await this.harness.process(...values.map((value) => ({ value, timestamp: Number(value), splitWatermark: 5 })));
    this.harness.room = Number.POSITIVE_INFINITY;
  }

  time(watermark: number, idle = false): void {
    this.head.takeTime(watermark, idle);
  }

  /** The answers given so far reach the operator, and what is due is handed on. */
  async settle(): Promise<void> {
    // Promise callbacks of callbacks: more turns than the operator chains.
    for (let turn = 0; turn < 5; turn++) await Promise.resolve();
    this.harness.throwFailure();
    this.handOn();
  }

  handOn(): void {
    while (this.head.ready && this.harness.room > 0) {
      const time = this.head.handOn();
      this.#note();
      if (time !== null) this.log.push(time.idle ? 'idle' : `watermark ${time.watermark}`);
      this.harness.throwFailure();
      if (this.harness.operator.pending === true) break;
    }
  }

  resume(): void {
    this.harness.operator.resume?.();
    this.#note();
  }

  async answer(value: unknown, result: unknown = value): Promise<void> {
    this.#open(value).answer(result);
    await this.settle();
  }

  async reject(value: unknown, error: unknown = new Error('refused')): Promise<void> {
    this.#open(value).reject(error);
    await this.settle();
  }

  /** The clock reaches `nowMs`; timeouts and retries happen, and what they made due is handed on. */
  async clock(nowMs: number): Promise<void> {
    await this.harness.processingTime(nowMs);
    await this.settle();
  }

  checkpoint(checkpointId: number): readonly RestoredRow[] {
    this.image.apply(this.harness.checkpoint(checkpointId));
    return this.image.rows;
  }

  /** The newest call for a value. */
  #open(value: unknown): MadeCall {
    const call = this.calls.findLast((made) => made.value === value);
    if (call === undefined) throw new Error(`no call was made for ${String(value)}`);
    return call;
  }

  #note(): void {
    this.log.push(...this.harness.values.slice(this.#seen));
    this.#seen = this.harness.values.length;
  }
}
