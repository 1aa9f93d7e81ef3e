/** The flights job of the examples: its input, how to run it, and the results it committed. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { readCommitted } from 'millrace/files';
import { type MillraceRunOptions, repositoryRoot } from '../millrace-run.ts';
import type { FlightsOracle } from './flights-oracle.ts';

export const flightsFile = join(repositoryRoot, 'node_modules/vega-datasets/data/flights-3m.parquet');
export const flightsJobName = 'airport-delays';

const outputNames = ['hourly', 'late', 'worst-by-day'] as const;

/** Places of one job: state and results in a directory of its own. */
export interface FlightsPlace {
  readonly run: MillraceRunOptions;
  readonly jobName: string;
  readonly outputs: readonly string[];
}

export interface FlightsPlaceOptions {
  readonly directory: string;
  readonly checkpointIntervalMs: number;
  readonly input?: string;
  readonly flags?: readonly string[];
}

export function flightsPlace({
  directory,
  checkpointIntervalMs,
  input = flightsFile,
  flags = [],
}: FlightsPlaceOptions): FlightsPlace {
  const output = join(directory, 'out');
  return {
    run: {
      job: 'examples/airport-delays.ts',
      stateDirectory: join(directory, 'state'),
      checkpointInterval: `${checkpointIntervalMs}ms`,
      flags,
      parameters: { input, output },
    },
    jobName: flightsJobName,
    outputs: flightsOutputs(output),
  };
}

/** Directories of the three results below the job's output. */
export function flightsOutputs(output: string): string[] {
  return outputNames.map((name) => join(output, name));
}

/** Committed lines of the three results, each sorted. */
export async function committedResults({ outputs }: Pick<FlightsPlace, 'outputs'>): Promise<FlightsOracle> {
  const [hourly, late, worst] = await Promise.all(outputs.map(linesOf));
  return { hourly, late, worst };
}

async function linesOf(directory: string): Promise<string[]> {
  const lines: string[] = [];
  for await (const { line } of readCommitted(directory)) lines.push(line);
  return lines.sort();
}

/** Files that are neither committed nor the manifest: there is none when the job has finished. */
export function leftovers({ outputs }: FlightsPlace): string[] {
  return outputs.flatMap((directory) =>
    readdirSync(directory)
      .filter((name) => name.startsWith('.'))
      .map((name) => join(directory, name)),
  );
}
