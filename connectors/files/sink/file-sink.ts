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

const defaultMaxBytes = 128 * 1024 * 1024;

export interface FileSinkParts<T> {
  readonly kind: string;
  readonly directory: string;
  readonly rolling: RollingOptions | undefined;
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

/** The sink that writes committed files into a directory. */
export function fileSink<T>(parts: FileSinkParts<T>): Sink<T> {
  const rolling = rollingPolicy(parts.rolling);
  const directoryIn = (workingDirectory: string): string => resolve(workingDirectory, parts.directory);
  return {
    type: 'sink',
    kind: parts.kind,
    options: { directory: parts.directory, rolling: { ...rolling }, ...parts.options },
    ...(parts.accepts === undefined ? {} : { accepts: parts.accepts }),
    destination: parts.directory,
    createWriter: (context) =>
      new FileSinkWriter<T>(context, {
        directory: directoryIn(context.workingDirectory),
        encoder: parts.createEncoder(),
        acceptsChanges: parts.accepts === 'retract',
        rolling,
        fileSystem: localFileSystem,
        nowMs: Date.now,
      }),
    createCommitter: (context) =>
      new FileSinkCommitter(context, { directory: directoryIn(context.workingDirectory), fileSystem: localFileSystem }),
    occupation: (workingDirectory) => directoryOccupation(directoryIn(workingDirectory), localFileSystem),
  };
}
