/** How the final outputs of two runs differ: as multisets, or in the order of the records of each key. */
import { nearestName } from '../../../core/nearest-name.ts';
import { takesBack } from '../../../core/changelog.ts';
import { EngineError } from '../../../core/errors.ts';
import type { PlannedJob } from '../../../core/graph/job-definition.ts';
import { rowKind } from '../../../core/stream/batch.ts';
import type { CapturedOutputs, CapturedRecord } from '../capture-sink.ts';
import { findNamed, sinksOfJob } from '../job-parts.ts';
import { textOf } from './watched-functions.ts';

/** How the records of a sink are compared. */
export interface SinkComparison {
  /** Records of one key must come in the same order; without it order does not matter. */
  readonly orderedBy?: (value: never) => unknown;
  /**
   * How changes are compared at a sink with commits. `table`: the rows that are left in the end, because the changes in between
   * depend on the order of arrival by nature; for complete changes, and the default where a row was replaced (`updateBefore`).
   * `each`: every change.
   */
  readonly changes?: 'table' | 'each';
  /** Not compared at all: what it gets may differ. */
  readonly ignore?: boolean;
}

/** What one sink got otherwise than in the undisturbed run. */
export interface OutputDifference {
  /** Id of the sink. */
  readonly sink: string;
  readonly guarantee: 'exactly once' | 'at least once';
  /** Some of the records that are missing. */
  readonly missing: readonly unknown[];
  /** Some of the records that are there and should not be. */
  readonly unexpected: readonly unknown[];
  readonly missingCount: number;
  readonly unexpectedCount: number;
  /** Same records, other order within a key. */
  readonly reordered: boolean;
}

/** Records of a difference that are shown. */
const shownMax = 3;

/** Comparisons by sink id. @throws EngineError JOB_INVALID when a name is no sink's */
export function comparisonsOf(
  job: PlannedJob,
  sinks: Readonly<Record<string, SinkComparison>>,
): ReadonlyMap<string, SinkComparison> {
  const all = sinksOfJob(job);
  return new Map(Object.entries(sinks).map(([name, comparison]) => [findNamed(all, name, 'sink').id, comparison]));
}

/** The first sink that differs; null when none does. */
export function outputDifference(
  job: PlannedJob,
  expected: CapturedOutputs,
  actual: CapturedOutputs,
  comparisons: ReadonlyMap<string, SinkComparison>,
): OutputDifference | null {
  for (const { node } of sinksOfJob(job)) {
    const comparison = comparisons.get(node.id) ?? {};
    if (comparison.ignore === true) continue;
    const commits = job.graph.edges.some((edge) => {
      const target = job.graph.vertices.find((vertex) => vertex.id === edge.targetVertex);
      const source = job.graph.vertices.find((vertex) => vertex.id === edge.sourceVertex);
      return (
        target?.operators[0]?.kind === 'sink-committer' && source?.operators[edge.sourceOperatorIndex]?.id === node.id
      );
    });
    let records = [expected.of(node.id), actual.of(node.id)] as Pair;
    if (commits && asTable(records, comparison)) records = [rowsLeft(records[0]), rowsLeft(records[1])];
    const found = commits ? exactDifference(...records, comparison) : repeatedDifference(...records);
    if (found !== null) return { sink: node.id, guarantee: commits ? 'exactly once' : 'at least once', ...found };
  }
  return null;
}

type Pair = readonly [readonly CapturedRecord[], readonly CapturedRecord[]];
type Found = Omit<OutputDifference, 'sink' | 'guarantee'>;

/** Texts of records that were compared: those of the undisturbed run are compared with every other. */
const identities = new WeakMap<CapturedRecord, string>();

function identityOf(record: CapturedRecord): string {
  let identity = identities.get(record);
  if (identity === undefined) {
    identity = `${record.rowKind} ${textOf(record.value)}`;
    identities.set(record, identity);
  }
  return identity;
}

function asTable(records: Pair, { changes }: SinkComparison): boolean {
  if (changes !== undefined) return changes === 'table';
  return records.some((some) => some.some((record) => record.rowKind === rowKind.updateBefore));
}

/** The rows that complete changes leave: each that came more often than it was taken back, and the reverse where that is so. */
function rowsLeft(changes: readonly CapturedRecord[]): CapturedRecord[] {
  const rows = new Map<string, { count: number; readonly value: unknown }>();
  for (const { value, rowKind: kind } of changes) {
    const text = textOf(value);
    const row = rows.get(text) ?? { count: 0, value };
    row.count += takesBack(kind) ? -1 : 1;
    rows.set(text, row);
  }
  return [...rows.values()].flatMap(({ count, value }) => {
    const left = { value, timestampMs: null, rowKind: count > 0 ? rowKind.insert : rowKind.delete };
    return Array.from({ length: Math.abs(count) }, () => left);
  });
}

function exactDifference(
  expected: readonly CapturedRecord[],
  actual: readonly CapturedRecord[],
  { orderedBy }: SinkComparison,
): Found | null {
  const missing = without(expected, actual);
  const unexpected = without(actual, expected);
  if (missing.length > 0 || unexpected.length > 0) return foundOf(missing, unexpected);
  if (orderedBy === undefined || sequences(expected, orderedBy) === sequences(actual, orderedBy)) return null;
  return { ...foundOf([], []), reordered: true };
}

/** Repetitions of what was to come are allowed. */
function repeatedDifference(expected: readonly CapturedRecord[], actual: readonly CapturedRecord[]): Found | null {
  const wanted = new Set(expected.map(identityOf));
  const unexpected = actual.filter((record) => !wanted.has(identityOf(record)));
  const missing = without(expected, actual);
  return missing.length === 0 && unexpected.length === 0 ? null : foundOf(missing, unexpected);
}

function foundOf(missing: readonly CapturedRecord[], unexpected: readonly CapturedRecord[]): Found {
  return {
    missing: missing.slice(0, shownMax).map(({ value }) => value),
    unexpected: unexpected.slice(0, shownMax).map(({ value }) => value),
    missingCount: missing.length,
    unexpectedCount: unexpected.length,
    reordered: false,
  };
}

/** The records of a multiset that another does not have. */
function without(records: readonly CapturedRecord[], others: readonly CapturedRecord[]): CapturedRecord[] {
  const left = new Map<string, number>();
  for (const other of others) left.set(identityOf(other), (left.get(identityOf(other)) ?? 0) + 1);
  return records.filter((record) => {
    const count = left.get(identityOf(record)) ?? 0;
    left.set(identityOf(record), count - 1);
    return count <= 0;
  });
}

function sequences(records: readonly CapturedRecord[], keyOf: (value: never) => unknown): string {
  const byKey = new Map<string, string[]>();
  for (const record of records) {
    const key = textOf(keyOf(record.value as never));
    byKey.set(key, [...(byKey.get(key) ?? []), identityOf(record)]);
  }
  return textOf(byKey);
}

/** Refuses a name of a fault that there is not. */
export function refuseUnknown(what: string, names: readonly string[], known: readonly string[]): void {
  for (const name of names) {
    if (known.includes(name)) continue;
    const near = nearestName(name, known);
    throw new EngineError(
      'JOB_INVALID',
      `simulateJob: there is no ${what} '${name}'${near === null ? '' : `, did you mean '${near}'?`} Known: ${known.join(', ')}`,
    );
  }
}
