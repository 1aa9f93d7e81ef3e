/** The window operator in the harness, as the client would plan it, for readings of a key and a number. */
import type { AggregateSet } from '../../../../core/aggregate.ts';
import type { Key, KeySelector } from '../../../../core/operators.ts';
import type { WindowDefinition } from '../../../../core/windows.ts';
import type { WindowEvictor } from '../../../../core/window-functions.ts';
import {
  planCoGroup,
  planWindow,
  type WindowBody,
  type CoGroupBody,
} from '../../../../client/streams/general-windows.ts';
import type { HarnessOptions, InputRecord, OperatorHarness } from '../../../../testing/operator-harness.ts';
import { createWindowCoGroupOperator } from './co-group-operator.ts';
import { createWindowOperator } from './window-operator.ts';

export interface Reading {
  readonly key: Key;
  readonly n: number;
}

const keyOf = ((value: Reading) => value.key) as unknown as KeySelector<never>;

export interface WindowOptions {
  readonly window: WindowDefinition<Reading> | WindowDefinition<never>;
  /** A `WindowTrigger` with any state. */
  readonly trigger?: object | undefined;
  readonly evictor?: WindowEvictor<Reading> | undefined;
  readonly allowedLatenessMs?: number;
  /** Default: emits `key@start: n,n,..`. */
  readonly body?: WindowBody;
}

/** Emits `key@start: n,n,..` for each firing. */
export const describeRecords: WindowBody = {
  windowFunction: {
    onWindow(records: readonly Reading[], context: { key: Key; window: { start: number }; emit(value: string): void }) {
      context.emit(`${String(context.key)}@${context.window.start}: ${records.map((record) => record.n).join()}`);
    },
  } as never,
};

export const sumOf: AggregateSet<never> = {
  sum: { kind: 'sum', options: {}, select: ((value: Reading) => value.n) as never },
};

export function windowOptions(options: WindowOptions): HarnessOptions<'window'> {
  const { window, trigger = null, evictor = null, allowedLatenessMs = 0, body = describeRecords } = options;
  const settings = { window, trigger, evictor, allowedLatenessMs } as never;
  const { functions, config } = planWindow(keyOf, settings, body);
  return {
    create: createWindowOperator,
    functions: functions as HarnessOptions<'window'>['functions'],
    config: { ...config, lateTag: 'late' },
  };
}

export function coGroupOptions(
  window: WindowDefinition<Reading>,
  body: Partial<CoGroupBody>,
): HarnessOptions<'window-co-group'> {
  const all = { coGroup: null, join: null, type: null, allowedLateness: undefined, trigger: undefined, ...body };
  const { functions, config } = planCoGroup(keyOf, keyOf, window, all);
  return {
    create: createWindowCoGroupOperator,
    functions: functions as HarnessOptions<'window-co-group'>['functions'],
    config: { ...config, lateTag: 'late', lateSecondTag: 'late-second' },
  };
}

/** A record of key `a` unless said otherwise. */
export const at = (
  timestamp: number,
  n: number,
  key: Key = 'a',
  splitWatermark: number = Number.NaN,
): InputRecord & { readonly value: Reading } => ({ value: { key, n }, timestamp, splitWatermark });

/** Rows that are left in state: what the next checkpoint has that is not a tombstone. */
export function rowsLeft(
  harness: OperatorHarness<'window'> | OperatorHarness<'window-co-group'>,
  checkpointId = 1,
): string[] {
  return harness.checkpoint(checkpointId).flatMap((row) => (row.value === null ? [] : [row.stateName]));
}

/** What came since `from`. */
export function outputsOf(harness: OperatorHarness<'window'> | OperatorHarness<'window-co-group'>): unknown[] {
  return harness.outputs.splice(0).map((output) => output.value);
}
