/**
 * Where a query's rows go. In a timed run nowhere: they are counted by the engine and dropped, as in Nexmark's blackhole. In a
 * checked run they are handed to the benchmark, each with the kind of its change.
 */
import { ownValue } from '../../core/codec/own.ts';
import type { ConnectorContext, PlainData, PreparedCommit, Sink, SinkWriter } from '../../core/connector/index.ts';

/** Name under which rows are delivered. */
export const rowsChannel = 'nexmark-rows';

/** A row and how it changes the result: 0 insert, 1 update-before, 2 update-after, 3 delete. */
export type ResultRow = readonly [rowKind: number, row: Readonly<Record<string, unknown>>];

const chunkRows = 4096;
const nothing: PreparedCommit = { committables: [], state: [] };

export function resultSink<T>(capture: boolean): Sink<T> {
  return {
    type: 'sink',
    kind: 'nexmark.result',
    accepts: 'retract',
    options: { capture },
    createWriter: (context) => new ResultWriter(capture ? context : null),
    createCommitter: null,
    destination: null,
    occupation: () => Promise.resolve(null),
  };
}

class ResultWriter<T> implements SinkWriter<T> {
  readonly hasRoom = true;
  readonly #context: ConnectorContext | null;
  #rows: PlainData[] = [];
  #chunks = 0;

  constructor(context: ConnectorContext | null) {
    this.#context = context;
  }

  open(): Promise<void> {
    return Promise.resolve();
  }

  write(row: T, _timestamp: number, rowKind: number): void {
    if (this.#context === null) return;
    this.#rows.push([rowKind, ownValue(row)] as unknown as PlainData);
    if (this.#rows.length >= chunkRows) this.#deliver(this.#context);
  }

  drained(): Promise<void> {
    return Promise.resolve();
  }

  prepareCommit(): Promise<PreparedCommit> {
    if (this.#context !== null) this.#deliver(this.#context);
    return Promise.resolve(nothing);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  #deliver(context: ConnectorContext): void {
    context.deliver(rowsChannel, `${context.subtaskIndex}-${this.#chunks++}`, this.#rows);
    this.#rows = [];
  }
}
