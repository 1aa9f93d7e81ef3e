/** Lines of text as they are: logs, and whatever else a function takes apart. Empty lines are no records. */
import { decodeUtf8, findLineEnd, noRecord } from './text-format.ts';
import type { TextFormat } from './text-format.ts';

export class LinesFormat implements TextFormat<string> {
  readonly multiline = false;

  findEnd(buffer: Buffer, from: number): number {
    return findLineEnd(buffer, from);
  }

  decode(buffer: Buffer, from: number, to: number): string | typeof noRecord {
    return from === to ? noRecord : decodeUtf8(buffer, from, to);
  }

  state(): null {
    return null;
  }
}
