/** `files.lines`: lines of text as a source. A sink of text has `files.jsonl` and `files.csv`. */
import type { Source } from '../../core/connector/index.ts';
import type { FileSplit } from './input-file.ts';
import { LinesFormat } from './text/lines-format.ts';
import { textSource } from './text/text-source.ts';
import type { TextSourceOptions } from './text/text-source.ts';

/**
 * Lines of text at a path, without their line ends; empty lines are left out.
 * @param options `onMalformed` decides about lines that are not UTF-8
 */
export function lines(paths: string | readonly string[], options: TextSourceOptions = {}): Source<string, FileSplit> {
  return textSource({
    kind: 'files.lines',
    paths: typeof paths === 'string' ? [paths] : [...paths],
    options,
    formatOptions: {},
    createFormat: () => new LinesFormat(),
  });
}
