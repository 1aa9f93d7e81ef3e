/** `files.jsonl`: JSON lines as source and as exactly-once sink. */
import { fileFormat, sinkDirectory } from './file-format.ts';
import type { FileFormat } from './file-format.ts';
import { fileSink } from './sink/file-sink.ts';
import type { RollingOptions } from './sink/file-sink.ts';
import { ChangeLinesEncoder } from './sink/change-lines-encoder.ts';
import { JsonLinesEncoder } from './sink/json-lines-encoder.ts';
import { JsonLinesFormat } from './text/json-lines-format.ts';
import { textSource } from './text/text-source.ts';
import type { TextSourceOptions } from './text/text-source.ts';

/** Options of `files.jsonl`, as a source and as a sink. */
export interface JsonLinesOptions extends TextSourceOptions {
  /** As a sink: when a file is completed. */
  readonly rolling?: RollingOptions;
  /**
   * As a sink: takes streams of changes, and writes `{ "op": "+I" | "-U" | "+U" | "-D", "row": ... }` for every change. Default
   * false: new records only.
   */
  readonly changes?: boolean;
}

const kind = 'files.jsonl';

/** JSON lines at a path: the files to read, or the directory to write to. */
export function jsonl<T>(paths: string | readonly string[], options: JsonLinesOptions = {}): FileFormat<T> {
  const all = typeof paths === 'string' ? [paths] : [...paths];
  const { rolling, changes = false, ...sourceOptions } = options;
  return fileFormat<T>(
    () =>
      textSource({
        kind,
        paths: all,
        options: sourceOptions,
        formatOptions: {},
        createFormat: () => new JsonLinesFormat<T>(),
      }),
    () =>
      fileSink({
        kind,
        directory: sinkDirectory(kind, all),
        rolling,
        options: changes ? { changes } : {},
        ...(changes ? { accepts: 'retract' as const } : {}),
        createEncoder: () => (changes ? new ChangeLinesEncoder<T>() : new JsonLinesEncoder<T>()),
      }),
  );
}
