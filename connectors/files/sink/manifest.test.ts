import fc from 'fast-check';
import { mkdtemp, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { temporaryDirectory } from '../../testing/temporary-directory.ts';
import { readCommitted } from '../index.ts';
import { manifestHeader, manifestLine, manifestName, parseManifest } from './manifest.ts';
import type { CommittedFile } from './manifest.ts';

const file = (name: string, checkpointId = 1): CommittedFile => ({
  name,
  bytes: 1,
  sha256: 'aa',
  records: 1,
  checkpointId,
});
const header = manifestLine(manifestHeader('0123456789', 'job', 'sink'));
const intent = (...files: CommittedFile[]): string => manifestLine({ type: 'intent', files });
const commit = (...files: CommittedFile[]): string => manifestLine({ type: 'commit', files });

describe('manifest', () => {
  it('lists committed files in order and intended ones apart when both are there', () => {
    const manifest = parseManifest(
      Buffer.from(header + intent(file('a')) + commit(file('a')) + intent(file('b'), file('c'))),
      'm',
    );
    expect([...(manifest?.committed.keys() ?? [])]).toEqual(['a']);
    expect([...(manifest?.intended.keys() ?? [])]).toEqual(['b', 'c']);
  });

  it('counts whole lines only when the end is torn at any byte', () => {
    const whole = Buffer.from(header + commit(file('a')) + commit(file('b')));
    fc.assert(
      fc.property(fc.integer({ min: 0, max: whole.length }), (length) => {
        const manifest = parseManifest(whole.subarray(0, length), 'm');
        const lines = whole.subarray(0, length).toString().split('\n').length - 1;
        expect([...(manifest?.committed.keys() ?? [])]).toEqual(['a', 'b'].slice(0, Math.max(0, lines - 1)));
      }),
    );
  });

  it('fails when a line before the last does not match its checksum', () => {
    const damaged = Buffer.from(header + commit(file('a')) + commit(file('b')));
    damaged[header.length + 30] = 0x21;
    expect(() => parseManifest(damaged, 'm')).toThrow(
      expect.objectContaining({ code: 'STORAGE_FAILED', message: expect.stringContaining(`byte ${header.length}`) }),
    );
  });

  it('refuses the manifest when a later release wrote it', () => {
    const later = manifestLine({ ...manifestHeader('0123456789', 'job', 'sink'), version: 2 });
    expect(() => parseManifest(Buffer.from(later), 'm')).toThrow(expect.objectContaining({ code: 'NOT_SUPPORTED' }));
  });
});

describe('readCommitted', () => {
  it('gives lines of committed files only, cut at line feeds only', async () => {
    const directory = await mkdtemp(join(await temporaryDirectory(), 'out-'));
    const lines = ['"a\u2028b"', '{"r":"x\\r"}', '', '"ü"'];
    await writeFile(join(directory, 'part-0-0.jsonl'), `${lines.join('\n')}\n`);
    await writeFile(join(directory, 'part-0-1.jsonl'), '"not committed"\n');
    await writeFile(
      join(directory, manifestName),
      header + commit(file('part-0-0.jsonl')) + intent(file('part-0-1.jsonl')),
    );
    const read: string[] = [];
    for await (const { line } of readCommitted(directory)) read.push(line);
    expect(read).toEqual(lines);
  });

  it('gives nothing when no sink has committed', async () => {
    const read: unknown[] = [];
    for await (const line of readCommitted(await temporaryDirectory())) read.push(line);
    expect(read).toEqual([]);
  });
});
