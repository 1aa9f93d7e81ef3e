/** Changes as JSON lines: `{"op":"+U","row":...}` with the short form of what happened. */
import { changeSigns } from '../../../core/connector/index.ts';
import { JsonLinesEncoder } from './json-lines-encoder.ts';
import type { RecordEncoder } from './record-encoder.ts';

export class ChangeLinesEncoder<T> implements RecordEncoder<T> {
  readonly extension = 'jsonl';
  readonly #rows = new JsonLinesEncoder<T>();

  header(): string {
    return '';
  }

  encode(value: T, rowKind: number): string {
    const row = this.#rows.encode(value);
    return `{"op":"${changeSigns[rowKind]}","row":${row.slice(0, -1)}}\n`;
  }
}
