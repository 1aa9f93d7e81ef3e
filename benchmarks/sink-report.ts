/** What a measuring sink hands over at its end; one a subtask. Times are ms since the epoch with fractions. */

/** Name under which reports are delivered. */
export const reportChannel = 'benchmark-report';

export interface SinkReport {
  readonly records: number;
  readonly firstMs: number;
  readonly lastMs: number;
  /** Processor seconds of the process at the first and at the last record. */
  readonly firstCpuSeconds: number;
  readonly lastCpuSeconds: number;
  /** Processor seconds of the slot's thread in between, and how long it waited for a processor; NaN where the system does not tell. */
  readonly slotCpuSeconds: number;
  readonly slotWaitedSeconds: number;
  /** Last values seen by key, as the job stores them; NaN where a key never came. */
  readonly columns: readonly Float64Array[];
  /** Heap and array buffers of the slot after a full collection, without what the sink itself holds; null when not measured. */
  readonly stateBytes: number | null;
  /** Longest time between two turns of the slot's event loop, in ms; not counted are the first second and the first three records a key, in which tables grow. */
  readonly pauseMaxMs: number;
  /** From scheduled emission to the sink, in ms; null when the job has no schedule. */
  readonly latencyMs: {
    readonly p50: number;
    readonly p99: number;
    readonly p999: number;
    readonly max: number;
  } | null;
}
