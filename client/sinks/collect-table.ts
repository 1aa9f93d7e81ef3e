/**
 * `stream.collect(name, { key })`: hands the changes of a table to the client that waits for the job, which keeps the current
 * row of each key. Between two checkpoints only the last change of a key is kept: exactly once, as `collect`.
 */
import { changeSigns, type ChangeSign } from '../../core/changelog.ts';
import { encodeKeyToBytes } from '../../core/codec/key-codec.ts';
import { ownValue } from '../../core/codec/own.ts';
import type {
  ConnectorContext,
  PlainData,
  PreparedCommit,
  Sink,
  SinkCommitter,
  SinkWriter,
} from '../../core/connector/index.ts';
import { EngineError } from '../../core/errors.ts';
import type { Key } from '../../core/operators.ts';
import { rowKind } from '../../core/stream/batch.ts';
import { DeliveringCommitter } from './delivering-committer.ts';

/** Ids of deliveries that are changes of a table begin so; whoever shows them keeps the last row of each key. */
export const tableDeliveryPrefix = 'table-';

/** One change as it is delivered. */
export interface TableChange {
  readonly op: ChangeSign;
  /** The key, encoded: equal for equal keys. */
  readonly key: string;
  /** The row; of a delete the one that is no more, which the client may never have got. */
  readonly row: PlainData;
}

/** Keys a writer keeps in memory between two checkpoints. */
const keysMax = 1_000_000;

/**
 * @param name channel the client finds the table under
 * @param keyOf the key of a row; pure
 */
export function collectTableSink<T>(name: string, keyOf: (value: Readonly<T>) => Key): Sink<T> {
  return Object.freeze({
    type: 'sink' as const,
    kind: 'collect',
    options: { name, table: true },
    accepts: 'upsert' as const,
    createWriter: (): SinkWriter<T> => new TableWriter<T>(name, keyOf),
    createCommitter: (context: ConnectorContext): SinkCommitter =>
      new DeliveringCommitter(name, context, tableDeliveryPrefix),
    destination: null,
    occupation: () => Promise.resolve(null),
  });
}

class TableWriter<T> implements SinkWriter<T> {
  readonly #name: string;
  readonly #keyOf: (value: Readonly<T>) => Key;
  #changes = new Map<string, TableChange>();
  readonly hasRoom = true;

  constructor(name: string, keyOf: (value: Readonly<T>) => Key) {
    this.#name = name;
    this.#keyOf = keyOf;
  }

  open(): Promise<void> {
    return Promise.resolve();
  }

  write(value: T, _timestamp: number, kind: number): void {
    // The row that follows replaces it.
    if (kind === rowKind.updateBefore) return;
    const key = Buffer.from(encodeKeyToBytes(this.#keyOf(value))).toString('latin1');
    this.#changes.set(key, { op: changeSigns[kind] as ChangeSign, key, row: ownValue(value) as PlainData });
    if (this.#changes.size <= keysMax) return;
    throw new EngineError(
      'RECORD_TOO_LARGE',
      `collect('${this.#name}', { key }) got changes of more than ${keysMax} keys between two checkpoints and keeps them in memory; write large tables to a sink`,
      { ids: { channel: this.#name } },
    );
  }

  drained(): Promise<void> {
    return Promise.resolve();
  }

  prepareCommit(): Promise<PreparedCommit> {
    const values = [...this.#changes.values()];
    this.#changes = new Map();
    const committables = values.length === 0 ? [] : [{ values: values as unknown as PlainData }];
    return Promise.resolve({ committables, state: [] });
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}
