/**
 * `stream.collect(name)`: hands records to the client that waits for the job. The records of a checkpoint
 * travel as its committable and are delivered once it is complete, under an id that a repeated commit repeats: each once for a
 * client that knows the ids it got. One that began after a kill knows none, so the last delivery may come again.
 */
import { ownValue } from '../../core/codec/own.ts';
import { EngineError } from '../../core/errors.ts';
import type { ConnectorContext, PreparedCommit, Sink, SinkCommitter, SinkWriter } from '../../core/connector/index.ts';
import { DeliveringCommitter } from './delivering-committer.ts';

/** @param name channel the client finds the records under */
export function collectSink<T>(name: string): Sink<T> {
  return Object.freeze({
    type: 'sink' as const,
    kind: 'collect',
    options: { name },
    createWriter: (): SinkWriter<T> => new CollectWriter<T>(name),
    createCommitter: (context: ConnectorContext): SinkCommitter => new DeliveringCommitter(name, context, ''),
    destination: null,
    occupation: () => Promise.resolve(null),
  });
}

/** Records a writer keeps in memory between two checkpoints. */
const recordsMax = 1_000_000;

class CollectWriter<T> implements SinkWriter<T> {
  readonly #name: string;
  #values: T[] = [];
  readonly hasRoom = true;

  constructor(name: string) {
    this.#name = name;
  }

  open(): Promise<void> {
    return Promise.resolve();
  }

  write(value: T): void {
    if (this.#values.length >= recordsMax) {
      throw new EngineError(
        'RECORD_TOO_LARGE',
        `collect('${this.#name}') got more than ${recordsMax} records between two checkpoints and keeps them in memory; write large results to a sink`,
        { ids: { channel: this.#name } },
      );
    }
    this.#values.push(ownValue(value));
  }

  drained(): Promise<void> {
    return Promise.resolve();
  }

  prepareCommit(): Promise<PreparedCommit> {
    const values = this.#values;
    this.#values = [];
    return Promise.resolve({ committables: values.length === 0 ? [] : [{ values }], state: [] });
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}
