/** `files.csv`: CSV as source and as exactly-once sink. */
import { EngineError } from '../../core/connector/index.ts';
import { fileFormat, sinkDirectory } from './file-format.ts';
import type { FileFormat } from './file-format.ts';
import { CsvEncoder } from './sink/csv-encoder.ts';
import { fileSink } from './sink/file-sink.ts';
import type { PartitionOptions, RollingOptions } from './sink/file-sink.ts';
import { CsvFormat } from './text/csv-format.ts';
import type { CsvType } from './text/csv-format.ts';
import { textSource } from './text/text-source.ts';
import type { TextSourceOptions } from './text/text-source.ts';

/** Options of `files.csv`, as a source and as a sink. */
export interface CsvOptions<T> extends TextSourceOptions, PartitionOptions<T> {
  /**
   * True (default): the first record of every file names its columns; the sink writes such a line. An array: these are the
   * names and files have no header line. For a sink, false leaves the line out.
   */
  readonly header?: boolean | readonly string[];
  /** One character between fields. Default `,`. */
  readonly delimiter?: string;
  /** As a source: types of columns; those not named are strings. Empty numbers and booleans are null. */
  readonly columns?: { readonly [Name in keyof T & string]?: CsvType };
  /** As a sink: the columns and their order. Default: the fields of the first record of each writer. */
  readonly sinkColumns?: readonly (keyof T & string)[];
  /** As a sink: when a file is completed. */
  readonly rolling?: RollingOptions;
}

const kind = 'files.csv';

/** CSV at a path: the files to read, or the directory to write to. */
export function csv<T = Record<string, string>>(
  paths: string | readonly string[],
  options: CsvOptions<T> = {},
): FileFormat<T> {
  const all = typeof paths === 'string' ? [paths] : [...paths];
  const { header = true, delimiter = ',', columns = {}, sinkColumns, rolling, ...others } = options;
  const { partitionBy, successFile, ...sourceOptions } = others;
  if (delimiter.length !== 1 || delimiter > '~' || /["\r\n]/.test(delimiter)) {
    throw new EngineError(
      'USAGE',
      `${kind}: the option delimiter must be one ASCII character other than a quote and a line end, not ${JSON.stringify(delimiter)}.`,
    );
  }
  const names = typeof header === 'boolean' ? null : [...header];
  const types = columns as Readonly<Record<string, CsvType>>;
  return fileFormat<T>(
    () => {
      if (header === false)
        throw new EngineError('USAGE', `${kind} as a source needs names: set the option header to an array of them.`);
      const shape = { header: names, delimiter, columns: types };
      return textSource<T>({
        kind,
        paths: all,
        options: sourceOptions,
        formatOptions: { header: names, delimiter, columns: { ...types } },
        createFormat: (path, state) => new CsvFormat<T>(path, shape, state),
      });
    },
    () => {
      const fixed = sinkColumns === undefined ? names : [...sinkColumns];
      const withHeader = header === true;
      return fileSink<T>({
        kind,
        directory: sinkDirectory(kind, all),
        rolling,
        partitions: { partitionBy, successFile },
        options: { delimiter, withHeader, columns: fixed },
        createEncoder: () => new CsvEncoder<T>({ delimiter, withHeader, columns: fixed }),
      });
    },
  );
}
