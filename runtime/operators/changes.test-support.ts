/**
 * Drives an operator over changes for properties: a script of changes, cut in the middle by a checkpoint that is restored into
 * two subtasks, and the table that its output describes after every change.
 */
import { encodeValueToBytes } from '../../core/codec/value-codec.ts';
import type { Key, OperatorKind } from '../../core/operators.ts';
import type { RowKind } from '../../core/stream/batch.ts';
import {
  CheckpointImage,
  type HarnessOptions,
  OperatorHarness,
  type OutputRecord,
} from '../../testing/operator-harness.ts';

export interface Row {
  readonly k: Key;
  readonly n: number;
}

export interface ScriptedChange {
  readonly input?: 0 | 1;
  readonly value: Row;
  readonly kind: RowKind;
  readonly timestamp?: number;
}

/** What a property draws: a row to insert, or (where `take` is given) one that is there to be taken back. */
export interface Drawn {
  readonly input: 0 | 1;
  readonly k: number;
  readonly n: number;
  /** Taken modulo the rows there are; null: insert. */
  readonly take: number | null;
}

/** A sequence of changes in which only rows that are there are taken back. */
export function validScript(drawn: readonly Drawn[]): ScriptedChange[] {
  const present: [Row[], Row[]] = [[], []];
  return drawn.map(({ input, k, n, take }): ScriptedChange => {
    const rows = present[input];
    if (take !== null && rows.length > 0) {
      const [value] = rows.splice(take % rows.length, 1);
      return { input, value: value as Row, kind: take % 2 === 0 ? 3 : 1 };
    }
    const value = { k, n };
    rows.push(value);
    return { input, value, kind: n % 2 === 0 ? 0 : 2 };
  });
}

/** Rows as texts with how often they are there. */
export class Table {
  readonly counts = new Map<string, number>();

  apply(outputs: readonly OutputRecord[]): void {
    for (const { value, rowKind = 0 } of outputs) this.add(value, rowKind === 1 || rowKind === 3 ? -1 : 1);
  }

  add(value: unknown, difference: number): void {
    const text = JSON.stringify(value);
    const count = (this.counts.get(text) ?? 0) + difference;
    if (count < 0) throw new Error(`a row is taken back that is not there: ${text}`);
    if (count === 0) this.counts.delete(text);
    else this.counts.set(text, count);
  }

  get rows(): string[] {
    return [...this.counts].flatMap(([text, count]) => Array.from({ length: count }, () => text)).sort();
  }
}

/** Runs a script; `check` sees the table after every change. */
export async function runScript<Kind extends OperatorKind>(
  options: HarnessOptions<Kind>,
  script: readonly ScriptedChange[],
  cut: number,
  check: (table: Table, upTo: number) => void,
): Promise<OutputRecord[]> {
  const table = new Table();
  const all: OutputRecord[] = [];
  const image = new CheckpointImage();
  let harnesses = [await OperatorHarness.open(options)];
  for (const [index, change] of script.entries()) {
    if (index === cut) harnesses = await rescaled(options, harnesses[0] as OperatorHarness<Kind>, image);
    else if (index === cut >> 1 && index > 0) image.apply((harnesses[0] as OperatorHarness<Kind>).checkpoint(1));
    const harness = harnesses.find((one) => one.owns(change.value.k)) as OperatorHarness<Kind>;
    const record = {
      value: change.value,
      rowKind: change.kind,
      ...(change.timestamp === undefined ? {} : { timestamp: change.timestamp }),
    };
    if (change.input === 1) await harness.processSecond(record);
    else await harness.process(record);
    all.push(...harness.outputs);
    table.apply(harness.outputs);
    harness.outputs.length = 0;
    check(table, index + 1);
  }
  return all;
}

async function rescaled<Kind extends OperatorKind>(
  options: HarnessOptions<Kind>,
  from: OperatorHarness<Kind>,
  image: CheckpointImage,
): Promise<OperatorHarness<Kind>[]> {
  image.apply(from.checkpoint(2));
  const restore = image.rows;
  return Promise.all(
    [0, 1].map((subtaskIndex) => OperatorHarness.open({ ...options, restore, parallelism: 2, subtaskIndex })),
  );
}

/** Rows of one input that are there after the first `upTo` changes, in order of arrival. */
export function rowsAfter(script: readonly ScriptedChange[], upTo: number, input: 0 | 1 = 0): Row[] {
  const rows: Row[] = [];
  for (const { value, kind, input: from = 0 } of script.slice(0, upTo)) {
    if (from !== input) continue;
    if (kind === 0 || kind === 2) rows.push(value);
    else
      rows.splice(
        rows.findIndex((row) => sameRow(row, value)),
        1,
      );
  }
  return rows;
}

function sameRow(left: Row, right: Row): boolean {
  return Buffer.compare(encodeValueToBytes(left), encodeValueToBytes(right)) === 0;
}

/** Rows by key. */
export function byKey(rows: readonly Row[]): Map<Key, Row[]> {
  const groups = new Map<Key, Row[]>();
  for (const row of rows) groups.set(row.k, [...(groups.get(row.k) ?? []), row]);
  return groups;
}
