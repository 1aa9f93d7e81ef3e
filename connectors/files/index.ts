/** `millrace/files`: files as sources and sinks. Documented in docs/connectors/files.md. */
import { csv } from './csv.ts';
import { jsonl } from './jsonl.ts';
import { lines } from './lines.ts';
import { parquetSource } from './parquet/parquet-source.ts';

export type { CsvOptions } from './csv.ts';
export type { FileFormat } from './file-format.ts';
export type { FileSplit } from './input-file.ts';
export type { JsonLinesOptions } from './jsonl.ts';
export type { ParquetOptions } from './parquet/parquet-source.ts';
export type { PartitionOptions, RollingOptions } from './sink/file-sink.ts';
export { committedFiles, manifestName } from './sink/manifest.ts';
export type { CommittedFile } from './sink/manifest.ts';
export { readCommitted } from './sink/read-committed.ts';
export type { CommittedLine } from './sink/read-committed.ts';
export type { CsvType } from './text/csv-format.ts';
export type { OnMalformed } from './text/malformed-policy.ts';
export type { TextSourceOptions } from './text/text-source.ts';

/** File formats by name. */
export const files = {
  /** CSV, read and written: {@link CsvOptions}. */
  csv,
  /** JSON lines, read and written: {@link JsonLinesOptions}. */
  jsonl,
  /** Lines of text as they are, read: {@link TextSourceOptions}. */
  lines,
  /** Parquet, read: {@link ParquetOptions}. */
  parquet: parquetSource,
} as const;
