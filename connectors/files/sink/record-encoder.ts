/** What the file sink needs to know of a format. */
export interface RecordEncoder<T> {
  /** Extension of committed files, without the dot. */
  readonly extension: string;
  /** Text at the start of every file, asked for after its first record was encoded; empty for none. */
  header(): string;
  /** A record as text with its line end; `rowKind` is that of `SinkWriter.write`. Throws `VALUE_NOT_ENCODABLE`. */
  encode(value: T, rowKind: number): string;
}
