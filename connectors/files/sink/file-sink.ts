/** The exactly-once sink that `files.jsonl` and `files.csv` share. */
import { resolve } from 'node:path';
import { EngineError } from '../../../core/connector/index.ts';
import type { JsonObject, Sink, SinkAccepts } from '../../../core/connector/index.ts';
import { FileSinkCommitter } from './file-sink-committer.ts';
import { FileSinkWriter } from './file-sink-writer.ts';
import type { RollingPolicy } from './file-sink-writer.ts';
import { localFileSystem } from './file-system.ts';
import { directoryOccupation } from './occupation.ts';
import type { RecordEncoder } from './record-encoder.ts';

/** When a file of the sink is completed. Whichever comes first. */
export interface RollingOptions {
  /** At this many bytes, give or take one buffer of 64 KiB. Default 128 MiB. */
  readonly maxBytes?: number;
  /** At this age in milliseconds, looked at when a buffer is written and at checkpoints. Default: no limit. */
  readonly maxAgeMs?: number;
  /** At every checkpoint. Default true. With false, fewer and larger files, whose records become visible later. */
  readonly onCheckpoint?: boolean;
}

/** Options of a sink that spreads its records over directories. */
export interface PartitionOptions<T> {
  /**
   * The directory below the output directory that a record goes to, for example `dt=2026-03-01/hour=23`. A pure function. Each
   * has files of its own; a writer keeps a hundred open at a time. A path that leaves the output directory fails the record.
   */
  readonly partitionBy?: (record: Readonly<T>) => string;
  /**
   * With `partitionBy`: every partition that has committed files gets an empty file `_SUCCESS`, before these count as committed.
   * More files may follow. Default false.
   */
  readonly successFile?: boolean;
}

/** Name of the empty file that says a partition has committed files. */
const successFileName = '_SUCCESS';
const defaultMaxBytes = 128 * 1024 * 1024;

export interface FileSinkParts<T> {
  readonly kind: string;
  readonly directory: string;
  readonly rolling: RollingOptions | undefined;
  readonly partitions: PartitionOptions<T>;
  /** Options of the format, part of the graph hash. */
  readonly options: JsonObject;
  /** Default `append`. */
  readonly accepts?: SinkAccepts;
  createEncoder(): RecordEncoder<T>;
}

function rollingPolicy(rolling: RollingOptions = {}): RollingPolicy {
  const { maxBytes = defaultMaxBytes, maxAgeMs = null, onCheckpoint = true } = rolling;
  if (!(maxBytes > 0) || (maxAgeMs !== null && !(maxAgeMs > 0))) {
    throw new EngineError(
      'USAGE',
      `rolling.maxBytes and rolling.maxAgeMs must be above 0, not ${maxBytes} and ${maxAgeMs}.`,
    );
  }
  return { maxBytes, maxAgeMs, onCheckpoint };
}

function checkPartitions<T>(kind: string, { partitionBy, successFile }: PartitionOptions<T>): void {
  if (partitionBy !== undefined && typeof partitionBy !== 'function')
    throw new EngineError('USAGE', `${kind}: the option partitionBy is a function, not a ${typeof partitionBy}.`);
  if (successFile === true && partitionBy === undefined)
    throw new EngineError('USAGE', `${kind}: the option successFile marks partitions; set partitionBy as well.`);
}

/** The sink that writes committed files into a directory. */
export function fileSink<T>(parts: FileSinkParts<T>): Sink<T> {
  const rolling = rollingPolicy(parts.rolling);
  checkPartitions(parts.kind, parts.partitions);
  const { partitionBy = null, successFile = false } = parts.partitions;
  const partitioned: JsonObject = partitionBy === null ? {} : { partitioned: true, successFile };
  const directoryIn = (workingDirectory: string): string => resolve(workingDirectory, parts.directory);
  return {
    type: 'sink',
    kind: parts.kind,
    options: { directory: parts.directory, rolling: { ...rolling }, ...partitioned, ...parts.options },
    ...(parts.accepts === undefined ? {} : { accepts: parts.accepts }),
    destination: parts.directory,
    createWriter: (context) =>
      new FileSinkWriter<T>(context, {
        directory: directoryIn(context.workingDirectory),
        encoder: parts.createEncoder(),
        acceptsChanges: parts.accepts === 'retract',
        rolling,
        partitionOf: partitionBy,
        fileSystem: localFileSystem,
        nowMs: Date.now,
      }),
    createCommitter: (context) =>
      new FileSinkCommitter(context, {
        directory: directoryIn(context.workingDirectory),
        fileSystem: localFileSystem,
        successFile: successFile ? successFileName : null,
      }),
    occupation: (workingDirectory) => directoryOccupation(directoryIn(workingDirectory), localFileSystem),
  };
}
