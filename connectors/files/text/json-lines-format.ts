/** JSON lines: one JSON value per line; empty lines are no records. */
import { MalformedText, decodeUtf8, findLineEnd, noRecord } from './text-format.ts';
import type { TextFormat } from './text-format.ts';

export class JsonLinesFormat<T> implements TextFormat<T> {
  readonly multiline = false;

  findEnd(buffer: Buffer, from: number): number {
    return findLineEnd(buffer, from);
  }

  decode(buffer: Buffer, from: number, to: number): T | typeof noRecord {
    const text = decodeUtf8(buffer, from, to);
    try {
      return JSON.parse(text) as T;
    } catch (error) {
      if (text.trim().length === 0) return noRecord;
      throw new MalformedText(`the line is not JSON (${error instanceof Error ? error.message : String(error)})`);
    }
  }

  state(): null {
    return null;
  }
}
