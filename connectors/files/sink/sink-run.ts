/**
 * Drives writers and a committer by hand through checkpoints, kills and recoveries, as the engine does, over numbered records. What
 * survives a kill is what the engine keeps in a completed checkpoint, and the directory.
 */
import type { Committable, PlainData } from '../../../core/connector/index.ts';
import { recordedContext } from '../../testing/connector-context.ts';
import { FileSinkCommitter } from './file-sink-committer.ts';
import { FileSinkWriter } from './file-sink-writer.ts';
import type { RollingPolicy } from './file-sink-writer.ts';
import type { SinkFileSystem } from './file-system.ts';
import { JsonLinesEncoder } from './json-lines-encoder.ts';

export interface SinkRunOptions {
  readonly directory: string;
  readonly rolling: RollingPolicy;
  /** Writers in each attempt, by attempt number minus 1; the last one counts for later attempts. */
  readonly parallelism: readonly number[];
  readonly records: number;
  readonly recordsPerCheckpoint: number;
  /** Partition of each record; none when absent. */
  readonly partitionOf?: (record: number) => string;
}

interface Checkpoint {
  readonly id: number;
  readonly nextRecord: number;
  readonly ended: boolean;
  readonly states: readonly PlainData[];
  readonly committables: readonly Committable[];
}

/** A run with what survives its attempts. */
export class SinkRun {
  readonly #options: SinkRunOptions;
  #completed: Checkpoint = { id: 0, nextRecord: 0, ended: false, states: [], committables: [] };
  #nextCheckpointId = 1;
  #attempt = 0;

  constructor(options: SinkRunOptions) {
    this.#options = options;
  }

  /** Records in completed checkpoints: the committed ones are these, or those of the checkpoint before. */
  get completedRecords(): number {
    return this.#completed.nextRecord;
  }

  /** One try at running to the end; rejects when the file system stops. */
  async attempt(fileSystem: SinkFileSystem): Promise<void> {
    this.#attempt++;
    const { directory, rolling, parallelism, partitionOf } = this.#options;
    const count = parallelism[this.#attempt - 1] ?? parallelism.at(-1) ?? 1;
    const context = (subtaskIndex: number) =>
      recordedContext({ attempt: this.#attempt, subtaskIndex, parallelism: count });
    const writers = Array.from(
      { length: count },
      (_, subtaskIndex) =>
        new FileSinkWriter<number>(context(subtaskIndex), {
          directory,
          rolling,
          partitionOf: partitionOf ?? null,
          fileSystem,
          nowMs: () => 0,
          encoder: new JsonLinesEncoder(),
        }),
    );
    const committer = new FileSinkCommitter(context(0), {
      directory,
      fileSystem,
      successFile: partitionOf === undefined ? null : '_SUCCESS',
    });
    try {
      await committer.open();
      await allDone(writers.map((writer) => writer.open(structuredClone(this.#completed.states))));
      await committer.commit(structuredClone(this.#completed.committables));
      while (!this.#completed.ended) await this.#checkpoint(writers, committer);
    } finally {
      await Promise.all(writers.map((writer) => writer.close()));
    }
  }

  async #checkpoint(writers: readonly FileSinkWriter<number>[], committer: FileSinkCommitter): Promise<void> {
    const { records, recordsPerCheckpoint } = this.#options;
    const id = this.#nextCheckpointId++;
    const from = this.#completed.nextRecord;
    const nextRecord = Math.min(records, from + recordsPerCheckpoint);
    for (let record = from; record < nextRecord; record++)
      writers[record % writers.length]?.write(record, Number.NaN, 0);
    const ended = nextRecord === records;
    const prepared = await allDone(writers.map((writer) => writer.prepareCommit(id, ended)));
    const committables = prepared.flatMap((part, subtaskIndex) =>
      part.committables.map((data) => ({ checkpointId: id, subtaskIndex, data })),
    );
    this.#completed = structuredClone({
      id,
      nextRecord,
      ended,
      states: prepared.flatMap(({ state }) => state),
      committables,
    });
    await committer.commit(structuredClone(committables));
    await committer.removeLeftovers();
  }
}

/** Like `Promise.all`, but never leaves one running when another failed. */
async function allDone<T>(promises: readonly Promise<T>[]): Promise<T[]> {
  await Promise.allSettled(promises);
  return Promise.all(promises);
}
