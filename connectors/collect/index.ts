/**
 * `collect(name)`: hands results to the client that waits for the job. Exactly once: values travel in committables and are delivered
 * when their checkpoint is complete, under an id made of the checkpoint; a repeated commit repeats the id, and the client drops it.
 * Meant for tests and small results: everything between two checkpoints is in memory and in the checkpoint.
 */
import { EngineError } from '../../core/connector/index.ts';
import type { Committable, ConnectorContext, PlainData, PreparedCommit, Sink, SinkCommitter, SinkWriter } from '../../core/connector/index.ts';

/** Values in one committable, and in one delivery. */
const chunkRecordsMax = 10_000;
/** Values a writer takes between two checkpoints. */
const recordsMax = 1_000_000;

/** Row kind of a plain record. */
const insertKind = 0;

interface CollectedChunk {
  readonly chunk: number;
  readonly values: readonly PlainData[];
}

class CollectWriter<T> implements SinkWriter<T> {
  readonly #channel: string;
  #values: T[] = [];

  constructor(channel: string) {
    this.#channel = channel;
  }

  async open(): Promise<void> {}

  write(value: T, _timestamp: number, rowKind: number): void {
    if (rowKind !== insertKind) {
      throw new EngineError('NOT_SUPPORTED', `collect("${this.#channel}") got an update or delete; it takes new records only. Window the stream so that results are final.`, {
        ids: { channel: this.#channel },
      });
    }
    if (this.#values.length >= recordsMax) {
      throw new EngineError(
        'RECORD_TOO_LARGE',
        `collect("${this.#channel}") got more than ${recordsMax} records between two checkpoints; it keeps them in memory. Write large results to files.jsonl(directory).`,
        { ids: { channel: this.#channel } },
      );
    }
    this.#values.push(value);
  }

  get hasRoom(): boolean {
    return true;
  }

  async drained(): Promise<void> {}

  async prepareCommit(): Promise<PreparedCommit> {
    const committables: CollectedChunk[] = [];
    for (let from = 0; from < this.#values.length; from += chunkRecordsMax) {
      committables.push({ chunk: committables.length, values: this.#values.slice(from, from + chunkRecordsMax) });
    }
    this.#values = [];
    return { committables, state: [] };
  }

  async close(): Promise<void> {}
}

class CollectCommitter implements SinkCommitter {
  readonly #channel: string;
  readonly #context: ConnectorContext;

  constructor(channel: string, context: ConnectorContext) {
    this.#channel = channel;
    this.#context = context;
  }

  async open(): Promise<void> {}

  async commit(committables: readonly Committable[]): Promise<void> {
    const ordered = [...committables].sort(
      (left, right) =>
        left.checkpointId - right.checkpointId ||
        left.subtaskIndex - right.subtaskIndex ||
        (left.data as CollectedChunk).chunk - (right.data as CollectedChunk).chunk,
    );
    for (const { checkpointId, subtaskIndex, data } of ordered) {
      const { chunk, values } = data as CollectedChunk;
      this.#context.deliver(this.#channel, `${this.#context.operatorId}-${checkpointId}-${subtaskIndex}-${chunk}`, values);
    }
  }

  async close(): Promise<void> {}
}

/** A sink whose records the waiting client receives exactly once, in order per writer. */
export function collect<T = unknown>(name: string): Sink<T> {
  return {
    type: 'sink',
    kind: 'collect',
    options: { name },
    destination: null,
    createWriter: () => new CollectWriter<T>(name),
    createCommitter: (context) => new CollectCommitter(name, context),
    occupation: async () => null,
  };
}
