/** Places and results of the operators job. */
import { join } from 'node:path';
import { readCommitted } from 'millrace/files';
import type { KillableJob } from '../kill-rounds.ts';
import type { Results } from './expected.ts';
import { heldMax } from './state-branches.ts';

/** The branches whose sink gets changes: what they come to is compared. */
const changing: ReadonlySet<string> = new Set(['full-join', 'totals', 'best-keys', 'last', 'upserts']);

export interface OperatorsJobOptions {
  readonly directory: string;
  readonly records: number;
  readonly seconds: number;
  readonly checkpointIntervalMs: number;
  readonly flags?: readonly string[];
  readonly branches: readonly string[];
}

export function operatorsJob(options: OperatorsJobOptions): KillableJob {
  const { directory, records, seconds, checkpointIntervalMs, flags = [], branches } = options;
  const output = join(directory, 'out');
  return {
    run: {
      job: 'cluster-tests/operators/operators-job.ts',
      stateDirectory: join(directory, 'state'),
      checkpointInterval: `${checkpointIntervalMs}ms`,
      flags,
      parameters: { output, records: String(records), seconds: String(seconds) },
    },
    jobName: 'operators',
    outputs: branches.map((name) => join(output, name)),
  };
}

/**
 * What is wrong, by branch: a few lines that are lost or too much. Empty when everything is as it should be.
 * @param rescaled the parallelism has changed on the way
 */
export async function differences(
  { outputs }: KillableJob,
  expected: Results,
  rescaled = false,
): Promise<Record<string, string[]>> {
  const wrong: Record<string, string[]> = {};
  const names = Object.keys(expected);
  for (const [at, directory] of outputs.entries()) {
    const name = names[at];
    // Asynchronous calls in flight keep their order at the same parallelism only.
    const form = rescaled && name === 'async-ordered' ? idOnly : (line: string): string => line;
    const left = new Map<string, number>();
    for (const [line, times] of await counted(name, directory))
      left.set(form(line), (left.get(form(line)) ?? 0) + times);
    for (const line of expected[name]) left.set(form(line), (left.get(form(line)) ?? 0) - 1);
    const lines = [...left].filter(([, times]) => times !== 0);
    const lost = lines.filter(([, times]) => times < 0);
    // What the lists of the subtasks hold at the end is never handed on; each process in the row left at most two lists.
    if (name === 'held' && lost.length === lines.length && lost.length <= 2 * (heldMax - 1)) continue;
    if (lines.length === 0) continue;
    const shown = lines.slice(0, 6).map(([line, times]) => `${times < 0 ? 'lost' : 'too much'} (${times}): ${line}`);
    wrong[name] = [`${lines.length} of ${expected[name].length} lines`, ...shown];
  }
  return wrong;
}

const idOnly = (line: string): string => (JSON.parse(line) as { id: string }).id;

/** How often each line was written; of changes, less how often it was taken back. */
async function counted(name: string, directory: string): Promise<Map<string, number>> {
  const times = new Map<string, number>();
  const add = (line: string, by: number): Map<string, number> => times.set(line, (times.get(line) ?? 0) + by);
  const newest = new Map<string, { line: string; n: number }>();
  for await (const { line } of readCommitted(directory)) {
    if (changing.has(name)) {
      const { op, row } = JSON.parse(line) as { op: string; row: unknown };
      add(JSON.stringify(row), op.startsWith('+') ? 1 : -1);
    } else if (name === 'refined') {
      // Fires again for each late record: the fullest is the last.
      const { key, windowStart, n } = JSON.parse(line) as { key: string; windowStart: number; n: number };
      const id = `${key} ${windowStart}`;
      if ((newest.get(id)?.n ?? 0) < n) newest.set(id, { line, n });
    } else add(line, 1);
  }
  for (const { line } of newest.values()) add(line, 1);
  return times;
}
