import { describe, expect, it } from 'vitest';
import { PrintWriter, lineOf } from './index.ts';
import type { LineOutput } from './index.ts';

class RecordingOutput implements LineOutput {
  text = '';
  open = true;

  write(text: string): boolean {
    this.text += text;
    return this.open;
  }

  async drained(): Promise<void> {
    this.open = true;
  }
}

describe('print', () => {
  it('shows a value on one line when it is large', () => {
    const line = lineOf({ list: Array.from({ length: 50 }, (_, index) => index), nested: { a: { b: { c: 'x' } } } });
    expect(line).not.toContain('\n');
    expect(line).toContain("c: 'x'");
    expect(lineOf('text')).toBe('text');
  });

  it('prints records with the prefix in order when the batch is done, without a barrier', async () => {
    const output = new RecordingOutput();
    const writer = new PrintWriter<unknown>('> ', output);
    writer.write('a', Number.NaN, 0);
    writer.write({ b: 1 }, Number.NaN, 0);
    await Promise.resolve();
    expect(output.text).toBe('> a\n> { b: 1 }\n');
  });

  it('marks changes when the stream has updates and deletes', async () => {
    const output = new RecordingOutput();
    const writer = new PrintWriter<number>('', output);
    for (let kind = 0; kind < 4; kind++) writer.write(kind, Number.NaN, kind);
    await writer.close();
    expect(output.text).toBe('0\n-U 1\n+U 2\n-D 3\n');
  });

  it('has printed everything when a barrier is prepared', async () => {
    const output = new RecordingOutput();
    const writer = new PrintWriter<string>('', output);
    writer.write('a', Number.NaN, 0);
    expect(await writer.prepareCommit()).toEqual({ committables: [], state: [] });
    expect(output.text).toBe('a\n');
  });

  it('has no room until drained when the output is slow', async () => {
    const output = new RecordingOutput();
    output.open = false;
    const writer = new PrintWriter<string>('', output);
    writer.write('x'.repeat(20_000), Number.NaN, 0);
    expect(writer.hasRoom).toBe(false);
    await writer.drained();
    expect(writer.hasRoom).toBe(true);
  });
});
