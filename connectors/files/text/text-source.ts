/** The source behind `files.jsonl` and `files.csv`: planner, reader, and the choice between plain and gzip. */
import { resolve } from 'node:path';
import type {
  ConnectorContext,
  JsonObject,
  PlainData,
  Source,
  SourceReader,
  SplitCursor,
} from '../../../core/connector/index.ts';
import { FilePlanner } from '../file-planner.ts';
import { openPlannedInput } from '../input-file.ts';
import type { FileSplit } from '../input-file.ts';
import { GzipByteReader, PlainByteReader } from './byte-reader.ts';
import { checkOnMalformed, MalformedHandler } from './malformed-policy.ts';
import type { OnMalformed } from './malformed-policy.ts';
import { TextCursor } from './text-cursor.ts';
import type { TextPosition } from './text-cursor.ts';
import type { TextFormat } from './text-format.ts';

/** Options of both text formats as sources. */
export interface TextSourceOptions {
  /** What to do with text that is not a record. Default `fail`. */
  readonly onMalformed?: OnMalformed;
  /** Whether the files are gzip. Default: those whose name ends in `.gz`. */
  readonly gzip?: boolean;
  /** Longest record in bytes, line end included. Default 16 MiB. */
  readonly lineMaxBytes?: number;
}

const defaultLineMaxBytes = 16 * 1024 * 1024;
const fileStart: TextPosition = { offset: 0, line: 1, format: null };

export interface TextSourceParts<T> {
  readonly kind: string;
  readonly paths: readonly string[];
  readonly options: TextSourceOptions;
  /** Options of the format, part of the graph hash. */
  readonly formatOptions: JsonObject;
  /** @param state what an earlier format of the same split returned by `state()`, null at its beginning */
  createFormat(path: string, state: PlainData): TextFormat<T>;
}

class TextReader<T> implements SourceReader<T, FileSplit> {
  readonly #context: ConnectorContext;
  readonly #parts: TextSourceParts<T>;

  constructor(context: ConnectorContext, parts: TextSourceParts<T>) {
    this.#context = context;
    this.#parts = parts;
  }

  async openSplit(split: FileSplit, position: PlainData | undefined): Promise<SplitCursor<T>> {
    const { options } = this.#parts;
    const path = resolve(this.#context.workingDirectory, split.path);
    const start = position === undefined ? fileStart : (position as TextPosition);
    const handle = await openPlannedInput(split, this.#context.workingDirectory);
    const range = { path, from: start.offset, fileBytes: split.bytes };
    const isGzip = options.gzip ?? split.path.endsWith('.gz');
    return new TextCursor<T>({
      path,
      reader: isGzip ? new GzipByteReader(handle, range) : new PlainByteReader(handle, range),
      format: this.#parts.createFormat(path, start.format),
      malformed: new MalformedHandler(options.onMalformed ?? 'fail', this.#context),
      lineMaxBytes: options.lineMaxBytes ?? defaultLineMaxBytes,
      start,
    });
  }

  async close(): Promise<void> {}
}

/** A source of text files. */
export function textSource<T>(parts: TextSourceParts<T>): Source<T, FileSplit> {
  const { onMalformed = 'fail', gzip = null, lineMaxBytes = defaultLineMaxBytes } = parts.options;
  checkOnMalformed(parts.kind, onMalformed);
  const policy = typeof onMalformed === 'object' ? { deadLetterFile: onMalformed.deadLetterFile } : onMalformed;
  return {
    type: 'source',
    kind: parts.kind,
    options: { paths: parts.paths, onMalformed: policy, gzip, lineMaxBytes, ...parts.formatOptions },
    boundedness: 'bounded',
    openSplitsMax: 1,
    splitId: (split) => split.path,
    createPlanner: (context) => new FilePlanner(parts.paths, context),
    createReader: (context) => new TextReader<T>(context, parts),
  };
}
