/**
 * A sink that keeps nothing but the last values by key and measures: first and last record, processor time, pauses of the
 * slot's event loop, memory of state, latency. What it found is delivered once, at the end of input.
 */
import { readFileSync } from 'node:fs';
import { createHistogram, monitorEventLoopDelay, performance } from 'node:perf_hooks';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { ConnectorContext, PreparedCommit, Sink, SinkWriter } from 'millrace/connector';
import { reportChannel, type SinkReport } from '../sink-report.ts';

export interface MeasuringSinkOptions<T> {
  /** Keys are integers below this. */
  readonly keys: number;
  /** Columns of last values by key. */
  readonly columns: number;
  /** Stores the values of a record in the columns. */
  readonly keep: (columns: readonly Float64Array[], record: T) => void;
  /** Measure the slot's memory; costs a full collection at the start and at the end. */
  readonly memory?: boolean;
  /** When the record was due, ms since the epoch; makes the sink measure latency. */
  readonly dueMsOf?: (record: T) => number;
}

const pauseResolutionMs = 1;
/** Pauses and latencies of this long after the first record are start-up, not steady state. */
const warmUpMs = 1000;
/** Records by key after which about every key was seen. */
const steadyRounds = 3;
const nothing: PreparedCommit = { committables: [], state: [] };

export function measuringSink<T>(options: MeasuringSinkOptions<T>): Sink<T> {
  return {
    type: 'sink',
    kind: 'benchmark.measuring',
    options: { keys: options.keys, columns: options.columns },
    createWriter: (context) => new MeasuringWriter(options, context),
    createCommitter: null,
    destination: null,
    occupation: () => Promise.resolve(null),
  };
}

class MeasuringWriter<T> implements SinkWriter<T> {
  readonly hasRoom = true;
  readonly #options: MeasuringSinkOptions<T>;
  readonly #context: ConnectorContext;
  readonly #columns: Float64Array[];
  readonly #keep: (columns: readonly Float64Array[], record: T) => void;
  readonly #pauses = monitorEventLoopDelay({ resolution: pauseResolutionMs });
  readonly #latencies = createHistogram();
  readonly #steadyFrom: number;
  #records = 0;
  #firstMs = 0;
  #firstCpuSeconds = 0;
  #firstThread: ThreadSeconds = { cpu: Number.NaN, waited: Number.NaN };
  #bytesBefore = 0;

  constructor(options: MeasuringSinkOptions<T>, context: ConnectorContext) {
    this.#options = options;
    this.#context = context;
    this.#keep = options.keep;
    this.#steadyFrom = options.keys * steadyRounds;
    this.#columns = Array.from({ length: options.columns }, () => new Float64Array(options.keys).fill(Number.NaN));
  }

  open(): Promise<void> {
    if (this.#options.memory === true) this.#bytesBefore = usedBytes();
    return Promise.resolve();
  }

  write(record: T): void {
    if (this.#records === 0) this.#begin();
    this.#records++;
    // Tables double while keys come in; that is start-up as well.
    if (this.#records === this.#steadyFrom) this.#pauses.reset();
    this.#keep(this.#columns, record);
    if (this.#options.dueMsOf !== undefined) this.#measureLatency(this.#options.dueMsOf(record));
  }

  drained(): Promise<void> {
    return Promise.resolve();
  }

  prepareCommit(_checkpointId: number, end: boolean): Promise<PreparedCommit> {
    if (end) this.#context.deliver(reportChannel, `sink-${this.#context.subtaskIndex}`, [this.#report()]);
    return Promise.resolve(nothing);
  }

  close(): Promise<void> {
    this.#pauses.disable();
    return Promise.resolve();
  }

  #begin(): void {
    this.#firstMs = nowMs();
    this.#firstCpuSeconds = cpuSeconds();
    this.#firstThread = threadSeconds();
    this.#pauses.enable();
    setTimeout(() => this.#pauses.reset(), warmUpMs).unref();
  }

  #measureLatency(dueMs: number): void {
    const now = nowMs();
    if (now - this.#firstMs < warmUpMs) return;
    this.#latencies.record(Math.max(1, Math.round((now - dueMs) * 1000)));
  }

  #report(): SinkReport {
    const lastMs = nowMs();
    const lastCpuSeconds = cpuSeconds();
    const thread = threadSeconds();
    const { p50, p99, p999, max } = percentilesMs(this.#latencies);
    return {
      records: this.#records,
      firstMs: this.#firstMs,
      lastMs,
      firstCpuSeconds: this.#firstCpuSeconds,
      lastCpuSeconds,
      slotCpuSeconds: thread.cpu - this.#firstThread.cpu,
      slotWaitedSeconds: thread.waited - this.#firstThread.waited,
      columns: this.#columns,
      pauseMaxMs: Math.max(0, this.#pauses.max / 1e6 - pauseResolutionMs),
      stateBytes: this.#options.memory === true ? usedBytes() - this.#bytesBefore : null,
      latencyMs: this.#options.dueMsOf === undefined ? null : { p50, p99, p999, max },
    };
  }
}

function percentilesMs(histogram: ReturnType<typeof createHistogram>) {
  const at = (percentile: number): number => histogram.percentile(percentile) / 1000;
  return { p50: at(50), p99: at(99), p999: at(99.9), max: histogram.max / 1000 };
}

const nowMs = (): number => performance.timeOrigin + performance.now();

function cpuSeconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

interface ThreadSeconds {
  readonly cpu: number;
  readonly waited: number;
}

/** Time this thread ran, and time it was ready and did not; Linux only. */
function threadSeconds(): ThreadSeconds {
  try {
    const [ran, waited] = readFileSync('/proc/thread-self/schedstat', 'utf8').split(' ').map(Number);
    return { cpu: (ran as number) / 1e9, waited: (waited as number) / 1e9 };
  } catch {
    // Not told by this system: the row has the processor time of the whole process all the same.
    return { cpu: Number.NaN, waited: Number.NaN };
  }
}

/** Bytes this thread keeps alive, after a full collection. */
function usedBytes(): number {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  collect();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}
