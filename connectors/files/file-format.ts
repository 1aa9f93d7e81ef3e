/**
 * A file format is a source and a sink in one value, because the place decides which is meant: `env.from(files.jsonl('in'))` reads,
 * `.to(files.jsonl('out'))` writes.
 */
import { EngineError } from '../../core/connector/index.ts';
import type { Sink, Source } from '../../core/connector/index.ts';
import type { FileSplit } from './input-file.ts';

/** A format at a path: what `env.from(...)` reads and `.to(...)` writes. */
export interface FileFormat<T> {
  readonly type: 'file-format';
  readonly source: Source<T, FileSplit>;
  readonly sink: Sink<T>;
}

/** The one directory a sink writes to. */
export function sinkDirectory(kind: string, paths: readonly string[]): string {
  const [directory] = paths;
  if (directory !== undefined && paths.length === 1) return directory;
  throw new EngineError(
    'USAGE',
    `${kind} with ${paths.length} paths cannot be a sink. Name the one directory to write to.`,
  );
}

/** Makes both sides on demand, so that options of the one never fail the other. */
export function fileFormat<T>(makeSource: () => Source<T, FileSplit>, makeSink: () => Sink<T>): FileFormat<T> {
  let source: Source<T, FileSplit> | null = null;
  let sink: Sink<T> | null = null;
  return {
    type: 'file-format',
    get source() {
      source ??= makeSource();
      return source;
    },
    get sink() {
      sink ??= makeSink();
      return sink;
    },
  };
}
