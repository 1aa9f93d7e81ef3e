import { access, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Committable, PreparedCommit } from '../../../core/connector/index.ts';
import { recordedContext } from '../../testing/connector-context.ts';
import { drainSource } from '../../testing/drain.ts';
import { temporaryDirectory } from '../../testing/temporary-directory.ts';
import { files, readCommitted } from '../index.ts';
import { committedFiles } from './manifest.ts';

interface Visit {
  readonly day: string;
  readonly page: number;
}

const everything = { rolling: { onCheckpoint: true } } as const;

/** Writes records with one writer, and commits them. */
async function written(
  directory: string,
  visits: readonly Visit[],
  options: Parameters<typeof files.csv<Visit>>[1],
): Promise<PreparedCommit> {
  const { sink } = files.csv<Visit>(directory, { ...everything, ...options });
  const context = recordedContext({ workingDirectory: directory });
  const writer = sink.createWriter(context);
  await writer.open([]);
  try {
    for (const visit of visits) writer.write(visit, Number.NaN, 0);
    const prepared = await writer.prepareCommit(1, true);
    const committer = sink.createCommitter?.(context);
    await committer?.open();
    const committables: Committable[] = prepared.committables.map((data) => ({
      checkpointId: 1,
      subtaskIndex: 0,
      data,
    }));
    await committer?.commit(committables);
    await committer?.removeLeftovers?.();
    return prepared;
  } finally {
    await writer.close();
  }
}

const byDay = (visit: Visit): string => `day=${visit.day}`;
const isThere = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );

describe('partitions of the file sink', () => {
  it('puts each record into a file of its partition, with a header each, when records alternate', async () => {
    const directory = join(await temporaryDirectory(), 'out');
    const visits = [1, 2, 3, 4].map((page) => ({ day: page % 2 === 0 ? 'b' : 'a', page }));
    await written(directory, visits, { partitionBy: byDay });
    expect((await committedFiles(directory))?.map(({ name }) => name)).toEqual([
      'day=a/part-0-0.csv',
      'day=b/part-0-1.csv',
    ]);
    expect(await readFile(join(directory, 'day=a/part-0-0.csv'), 'utf8')).toBe('day,page\na,1\na,3\n');
    expect(await readFile(join(directory, 'day=b/part-0-1.csv'), 'utf8')).toBe('day,page\nb,2\nb,4\n');
    expect(await isThere(join(directory, 'day=a/_SUCCESS'))).toBe(false);
    const { values } = await drainSource(files.csv(directory, { columns: { page: 'number' } }).source);
    expect(values.map(({ page }) => page)).toEqual([1, 3, 2, 4]);
  });

  it('loses nothing when there are more partitions than a writer keeps open', async () => {
    const directory = join(await temporaryDirectory(), 'out');
    const visits = Array.from({ length: 600 }, (_, page) => ({ day: String(page % 250), page }));
    await written(directory, visits, { partitionBy: byDay });
    const pages: number[] = [];
    for await (const { line } of readCommitted(directory))
      if (line !== 'day,page') pages.push(Number(line.split(',')[1]));
    expect(pages.sort((left, right) => left - right)).toEqual(visits.map(({ page }) => page));
    expect((await committedFiles(directory))?.length).toBeGreaterThan(250);
  });

  it('marks every partition with committed files when asked to', async () => {
    const directory = join(await temporaryDirectory(), 'out');
    await written(directory, [{ day: 'a/12', page: 1 }], { partitionBy: byDay, successFile: true });
    expect(await readFile(join(directory, 'day=a/12/_SUCCESS'), 'utf8')).toBe('');
    expect(await isThere(join(directory, '_SUCCESS'))).toBe(false);
  });

  it.each(['', '..', 'a/../b', '/a', 'a//b', 'a/', '.hidden', '_millrace', 'a\\b', 'a\0'])(
    'refuses the record when its partition is %j',
    async (partition) => {
      const directory = join(await temporaryDirectory(), 'out');
      await expect(written(directory, [{ day: 'a', page: 1 }], { partitionBy: () => partition })).rejects.toMatchObject(
        {
          code: 'VALUE_NOT_ENCODABLE',
          message: expect.stringContaining('partitionBy gave'),
        },
      );
    },
  );

  it('refuses its options when they make no sense together', () => {
    expect(() => files.jsonl<Visit>('out', { successFile: true }).sink).toThrow(
      expect.objectContaining({ code: 'USAGE', message: expect.stringContaining('set partitionBy') }),
    );
    const wrong = { partitionBy: 'day' } as unknown as { partitionBy: (visit: Visit) => string };
    expect(() => files.jsonl<Visit>('out', wrong).sink).toThrow(expect.objectContaining({ code: 'USAGE' }));
  });
});
