/** Input files, places and results of the chaos job. */
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { readCommitted } from 'millrace/files';
import type { MillraceRunOptions } from '../millrace-run.ts';
import {
  type ChaosRecord,
  type ChaosResults,
  chaosOutputs,
  chaosRecord,
  csvPartitions,
  jsonlPartition,
  keyCount,
  minutesHeader,
  nameOf,
} from './chaos-records.ts';

export interface ChaosInput {
  readonly directory: string;
  /** Records by partition; the last one is the generator's. */
  readonly counts: readonly number[];
  readonly ratePerSecond: number;
}

/** Writes the files the job reads. */
export function writeChaosInput({ directory, counts }: ChaosInput): void {
  mkdirSync(directory, { recursive: true });
  const header = ['partition', 'seq', 'key', 'time', 'amount', 'late'] as const;
  const records = (partition: number): ChaosRecord[] => Array.from({ length: counts[partition] }, (_, seq) => chaosRecord(partition, seq));
  for (const partition of csvPartitions) {
    const lines = records(partition).map((record) => header.map((name) => String(record[name])).join(','));
    writeFileSync(join(directory, `records-${partition}.csv`), `${[header.join(','), ...lines].join('\n')}\n`);
  }
  const json = records(jsonlPartition).map((record) => JSON.stringify(record));
  writeFileSync(join(directory, 'records-2.jsonl.gz'), gzipSync(`${json.join('\n')}\n`));
  const names = Array.from({ length: keyCount }, (_, number) => `key-${number},${nameOf(`key-${number}`)}`);
  writeFileSync(join(directory, 'names.csv'), `${['key,name', ...names].join('\n')}\n`);
}

export interface ChaosPlace {
  readonly run: MillraceRunOptions;
  readonly jobName: string;
  readonly outputs: readonly string[];
}

export interface ChaosPlaceOptions {
  readonly directory: string;
  readonly input: ChaosInput;
  readonly checkpointIntervalMs: number;
  readonly flags?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly stateDirectory?: string;
}

export function chaosPlace(options: ChaosPlaceOptions): ChaosPlace {
  const { directory, input, checkpointIntervalMs, flags = [], environment = {} } = options;
  const output = join(directory, 'out');
  const generated = String(input.counts[input.counts.length - 1]);
  return {
    run: {
      job: 'cluster-tests/chaos/chaos-job.ts',
      stateDirectory: options.stateDirectory ?? join(directory, 'state'),
      checkpointInterval: `${checkpointIntervalMs}ms`,
      flags,
      parameters: { input: input.directory, output, generated, rate: String(input.ratePerSecond) },
      environment,
    },
    jobName: 'chaos',
    outputs: chaosOutputs.map((name) => join(output, name)),
  };
}

/** Committed lines, sorted; at any moment, also while the job runs. */
export async function committedResults({ outputs }: ChaosPlace): Promise<ChaosResults> {
  const [named, minutes, windows, late] = await Promise.all(outputs.map(linesOf));
  return { named, minutes: minutes.filter((line) => line !== minutesHeader), windows, late };
}

/** Files that are neither committed nor the manifest. */
export function leftovers({ outputs }: ChaosPlace): string[] {
  return outputs.flatMap((directory) => readdirSync(directory).filter((name) => name.startsWith('.')).map((name) => join(directory, name)));
}

async function linesOf(directory: string): Promise<string[]> {
  const lines: string[] = [];
  for await (const { line } of readCommitted(directory)) lines.push(line);
  return lines.sort();
}
