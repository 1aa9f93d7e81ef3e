/** `files.parquet`: rows of parquet files as records. */
import { EngineError } from '../../../core/connector/index.ts';
import type { ConnectorContext, PlainData, Source, SourceReader, SplitCursor } from '../../../core/connector/index.ts';
import { FilePlanner } from '../file-planner.ts';
import type { CutFile } from '../file-planner.ts';
import type { FileSplit } from '../input-file.ts';
import { ParquetCursor } from './parquet-cursor.ts';
import { ParquetFile } from './parquet-file.ts';
import type { ParquetReadOptions, RowRange } from './parquet-file.ts';

/** Options of `files.parquet`. */
export interface ParquetOptions<T> {
  /** Columns to read, in the order records have them. Default: all. Others are not read from disk. */
  readonly columns?: readonly (keyof T & string)[];
  /** How INT64 columns arrive. `number` (default) fails for a value outside ±2^53, naming column and row. */
  readonly int64?: 'number' | 'bigint';
  /** Read byte arrays without a string annotation as UTF-8 (files of old writers). Default false: bytes. */
  readonly binaryAsString?: boolean;
  /** One split per file (default: rows keep the order of the file), or per row group (more parallel readers than files). */
  readonly splitBy?: 'file' | 'rowGroup';
}

class ParquetReader<T> implements SourceReader<T, FileSplit> {
  readonly #context: ConnectorContext;
  readonly #options: ParquetReadOptions;

  constructor(context: ConnectorContext, options: ParquetReadOptions) {
    this.#context = context;
    this.#options = options;
  }

  async openSplit(split: FileSplit, position: PlainData | undefined): Promise<SplitCursor<T>> {
    const file = await ParquetFile.open(split, this.#context.workingDirectory, this.#options);
    const last = file.groups.at(-1);
    const whole: RowRange = { start: 0, end: last?.end ?? 0 };
    const range = split.rowGroup === undefined ? whole : file.groups[split.rowGroup];
    if (range === undefined) {
      await file.close();
      throw new EngineError('INPUT_MALFORMED', `${file.path} has no row group ${split.rowGroup}. Start the job anew.`, {
        ids: { path: file.path },
      });
    }
    const start = position === undefined ? range.start : (position as { row: number }).row;
    return new ParquetCursor<T>(file, { start, end: range.end });
  }

  async close(): Promise<void> {}
}

/** Opens every file while planning, so that a broken file or a wrong column name fails the job at its start. */
function cutFile(read: ParquetReadOptions, byRowGroup: boolean): CutFile {
  return async (split, workingDirectory) => {
    const file = await ParquetFile.open(split, workingDirectory, read);
    await file.close();
    return byRowGroup ? file.groups.map((_, rowGroup) => ({ ...split, rowGroup })) : [split];
  };
}

/** The source behind `files.parquet`. */
export function parquetSource<T>(
  paths: string | readonly string[],
  options: ParquetOptions<T> = {},
): Source<T, FileSplit> {
  const all = typeof paths === 'string' ? [paths] : [...paths];
  const { int64 = 'number', binaryAsString = false, splitBy = 'file' } = options;
  const columns = options.columns === undefined ? null : [...options.columns];
  const read: ParquetReadOptions = { columns, int64, binaryAsString };
  return {
    type: 'source',
    kind: 'files.parquet',
    options: { paths: all, columns, int64, binaryAsString, splitBy },
    boundedness: 'bounded',
    openSplitsMax: 1,
    splitId: (split) => (split.rowGroup === undefined ? split.path : `${split.path}#${split.rowGroup}`),
    createPlanner: (context) => new FilePlanner(all, context, cutFile(read, splitBy === 'rowGroup')),
    createReader: (context) => new ParquetReader<T>(context, read),
  };
}
