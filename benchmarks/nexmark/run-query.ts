/** Runs one query: for so many events with its rows handed over, or for so many seconds with its rows dropped. */
import { type JobResult, runJob } from '../run-job.ts';
import { type ResultRow, rowsChannel } from './result-sink.ts';

export interface CapturedRun {
  readonly query: string;
  readonly events: number;
  /** Events in a second of event time. */
  readonly rate: number;
  readonly parallelism: number;
  readonly checkpointIntervalMs: number | null;
  /** Looks at the directory of files that were written, before it is removed. */
  readonly inspect?: (directory: string) => Promise<void>;
}

/** @throws Error when the job does not finish */
export async function captureQuery(run: CapturedRun): Promise<JobResult & { readonly rows: readonly ResultRow[] }> {
  const rows: ResultRow[] = [];
  const result = await runJob({
    job: '../nexmark/job',
    parameters: { query: run.query, events: run.events, rate: run.rate, capture: 1 },
    parallelism: run.parallelism,
    checkpointIntervalMs: run.checkpointIntervalMs,
    onDelivery: (channel, values) => {
      if (channel === rowsChannel) for (const row of values as readonly ResultRow[]) rows.push(row);
    },
    ...(run.inspect === undefined ? {} : { inspect: run.inspect }),
  });
  return { ...result, rows };
}

export interface TimedRun {
  readonly query: string;
  readonly seconds: number;
  readonly rate: number;
  readonly parallelism: number;
  readonly checkpointIntervalMs: number;
}

/** @throws Error when the job does not finish */
export function timeQuery({ query, seconds, rate, parallelism, checkpointIntervalMs }: TimedRun): Promise<JobResult> {
  return runJob({
    job: '../nexmark/job',
    parameters: { query, rate, durationMs: seconds * 1000 },
    parallelism,
    checkpointIntervalMs,
  });
}
