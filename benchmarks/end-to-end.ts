/**
 * Benchmarks of the whole engine: each runs one job and compares what its sink saw last of every key with what is right.
 */
import { type BenchmarkRow, benchmarkRow } from './row.ts';
import { type ExpectedByKey, expectedByKey } from './records.ts';
import { type JobResult, type JobRun, runJob } from './run-job.ts';
import type { SinkReport } from './sink-report.ts';

/** One case: a job, how much of it, and the column of right results that each column of the sink is compared with. */
export interface EndToEndCase {
  readonly benchmark: string;
  readonly case: string;
  readonly parallelism: number;
  readonly job: string;
  readonly keys: number;
  readonly checkpointIntervalMs: number | null;
  /** Records for each second asked for: about what a good run makes, so that `--seconds` is roughly kept. */
  readonly eventsPerSecond: number;
  /** Every key is to be seen, so no run is shorter than this many records. */
  readonly eventsMin: number;
  readonly compare: readonly ('counts' | 'sums' | 'maxima')[];
  readonly rate?: number;
  /** Slides in a window. */
  readonly overlap?: number;
  /** False: the sink sees other records than those that come in. */
  readonly recordForRecord?: false;
}

const million = 1_000_000;
const keyedSum = { job: 'keyed-sum', compare: ['sums'], eventsPerSecond: 3 * million, eventsMin: million } as const;
const largeState = {
  parallelism: 1,
  eventsPerSecond: 2 * million,
  compare: ['counts', 'sums', 'maxima'],
  checkpointIntervalMs: null,
} as const;

function checkpointCost(keys: number, keysName: string, checkpointIntervalMs: number | null): EndToEndCase {
  const name = `${keysName} keys, ${checkpointIntervalMs === null ? 'off' : 'every second'}`;
  return {
    ...keyedSum,
    benchmark: 'checkpoint-cost',
    case: name,
    parallelism: 1,
    keys,
    checkpointIntervalMs,
    eventsMin: 5 * keys,
  };
}

/** A window of ever more slides over the same records: what a record costs must not depend on it. */
function slidingWindow(overlap: number): EndToEndCase {
  return {
    benchmark: 'sliding-window',
    case: `size ${overlap} x slide`,
    parallelism: 1,
    job: 'sliding-window',
    keys: 100,
    checkpointIntervalMs: null,
    eventsPerSecond: 2 * million,
    eventsMin: million,
    compare: ['counts'],
    overlap,
    recordForRecord: false,
  };
}

export const endToEndCases: readonly EndToEndCase[] = [
  {
    ...keyedSum,
    benchmark: 'keyed-sum',
    case: 'bid-7-fields',
    parallelism: 1,
    keys: 100_000,
    checkpointIntervalMs: null,
  },
  {
    ...keyedSum,
    benchmark: 'keyed-sum',
    case: 'bid-7-fields',
    parallelism: 2,
    keys: 100_000,
    checkpointIntervalMs: null,
  },
  {
    ...largeState,
    benchmark: 'large-state',
    case: 'aggregates, 2M keys',
    job: 'large-state',
    keys: 2 * million,
    eventsMin: 12 * million,
  },
  {
    ...largeState,
    benchmark: 'large-state',
    case: 'objects, 1M keys',
    job: 'object-state',
    keys: million,
    eventsMin: 6 * million,
  },
  checkpointCost(100_000, '100K', null),
  checkpointCost(100_000, '100K', 1000),
  checkpointCost(2 * million, '2M', null),
  checkpointCost(2 * million, '2M', 1000),
  slidingWindow(1),
  slidingWindow(5),
  slidingWindow(50),
  {
    benchmark: 'latency',
    case: '50K/s, checkpoint every second',
    parallelism: 1,
    job: 'latency',
    keys: 100_000,
    checkpointIntervalMs: 1000,
    eventsPerSecond: 50_000,
    eventsMin: 50_000,
    compare: ['counts'],
    rate: 50_000,
  },
];

export async function runEndToEnd(chosen: EndToEndCase, seconds: number): Promise<BenchmarkRow> {
  const events = Math.max(chosen.eventsMin, Math.round(seconds * chosen.eventsPerSecond));
  const { job, keys, parallelism, checkpointIntervalMs, rate, overlap } = chosen;
  const parameters: JobRun['parameters'] = {
    events,
    keys,
    ...(rate === undefined ? {} : { rate }),
    ...(overlap === undefined ? {} : { overlap }),
  };
  const result = await runJob({ job, parameters, parallelism, checkpointIntervalMs });
  return rowOf(chosen, events, result);
}

function rowOf(chosen: EndToEndCase, events: number, { reports, checkpoints }: JobResult): BenchmarkRow {
  // Memory is read before the expectation is made.
  const row = benchmarkRow({
    benchmark: chosen.benchmark,
    case: chosen.case,
    parallelism: chosen.parallelism,
    events,
    seconds: (largest(reports, 'lastMs') - smallest(reports, 'firstMs')) / 1000,
    cpuSeconds: largest(reports, 'lastCpuSeconds') - smallest(reports, 'firstCpuSeconds'),
    checkpoints,
    checked: false,
  });
  const expected = expectedByKey(events, chosen.keys);
  return { ...row, ...measurements(chosen, reports, expected), checked: isRight(chosen, events, reports, expected) };
}

/** What only some benchmarks measure. */
function measurements(chosen: EndToEndCase, reports: readonly SinkReport[], expected: ExpectedByKey) {
  const latencyMs = reports[0]?.latencyMs ?? null;
  const bytes = reports.reduce((sum, report) => sum + (report.stateBytes ?? 0), 0);
  return {
    eventsPerSlotSecond: Math.round(
      reports.reduce((sum, report) => sum + report.records, 0) / largest(reports, 'slotCpuSeconds'),
    ),
    slotWaitedSeconds: Math.round(largest(reports, 'slotWaitedSeconds') * 100) / 100,
    pauseMaxMs: Math.round(largest(reports, 'pauseMaxMs') * 10) / 10,
    ...(chosen.benchmark === 'large-state' ? { bytesPerKey: Math.round(bytes / expected.distinctKeys) } : {}),
    ...(latencyMs === null ? {} : { latencyMs }),
  };
}

/** Every key of every column is what it must be, and every record arrived. */
function isRight(
  chosen: EndToEndCase,
  events: number,
  reports: readonly SinkReport[],
  expected: ExpectedByKey,
): boolean {
  if (reports.length !== chosen.parallelism) return false;
  const arrived = reports.reduce((sum, report) => sum + report.records, 0);
  if (chosen.recordForRecord !== false && arrived !== events) return false;
  return chosen.compare.every((name, column) => {
    const right = expected[name];
    for (let key = 0; key < chosen.keys; key++) {
      if (expected.counts[key] === 0) continue;
      // Exactly one subtask owns the key.
      const seen = reports
        .map((report) => (report.columns[column] as Float64Array)[key] as number)
        .filter((value) => !Number.isNaN(value));
      if (seen.length !== 1 || seen[0] !== right[key]) return false;
    }
    return true;
  });
}

type NumberOf =
  | 'firstMs'
  | 'lastMs'
  | 'firstCpuSeconds'
  | 'lastCpuSeconds'
  | 'pauseMaxMs'
  | 'slotCpuSeconds'
  | 'slotWaitedSeconds';
const largest = (reports: readonly SinkReport[], name: NumberOf): number =>
  Math.max(...reports.map((report) => report[name]));
const smallest = (reports: readonly SinkReport[], name: NumberOf): number =>
  Math.min(...reports.map((report) => report[name]));
