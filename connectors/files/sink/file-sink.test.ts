import { createHash } from 'node:crypto';
import { appendFile, mkdir, readFile, readdir, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Committable } from '../../../core/connector/index.ts';
import { recordedContext } from '../../testing/connector-context.ts';
import { drainSource } from '../../testing/drain.ts';
import { temporaryDirectory } from '../../testing/temporary-directory.ts';
import { files, readCommitted } from '../index.ts';
import { Crash, crashingFileSystem } from './crashing-file-system.ts';
import { FileSinkCommitter } from './file-sink-committer.ts';
import { FileSinkWriter } from './file-sink-writer.ts';
import { localFileSystem } from './file-system.ts';
import { JsonLinesEncoder } from './json-lines-encoder.ts';
import { committedFiles, manifestName } from './manifest.ts';
import type { PartCommittable, WriterState } from './part-file.ts';
import { SinkRun } from './sink-run.ts';
import type { SinkRunOptions } from './sink-run.ts';

const everyCheckpoint = { maxBytes: 2 ** 30, maxAgeMs: null, onCheckpoint: true };
const overCheckpoints = { maxBytes: 14, maxAgeMs: null, onCheckpoint: false };

async function committedNumbers(directory: string): Promise<number[]> {
  const numbers: number[] = [];
  for await (const { line } of readCommitted(directory)) numbers.push(JSON.parse(line) as number);
  return numbers.sort((left, right) => left - right);
}

const upTo = (count: number): number[] => Array.from({ length: count }, (_, index) => index);

/** Content hashes of the committed files, which must be what the manifest says. */
async function committedContent(directory: string): Promise<Map<string, string>> {
  const content = new Map<string, string>();
  for (const { name, sha256 } of (await committedFiles(directory)) ?? []) {
    expect(
      createHash('sha256')
        .update(await readFile(join(directory, name)))
        .digest('hex'),
    ).toBe(sha256);
    content.set(name, sha256);
  }
  return content;
}

async function isCrash(attempt: Promise<void>): Promise<boolean> {
  try {
    await attempt;
    return false;
  } catch (error) {
    const cause = error instanceof Error ? error.cause : undefined;
    if (error instanceof Crash || cause instanceof Crash) return true;
    throw error;
  }
}

const twoPartitions = (record: number): string => `all/half=${record % 2}`;

const plans: { name: string; options: Omit<SinkRunOptions, 'directory'>; partial: boolean }[] = [
  {
    name: 'one writer, a file per checkpoint',
    partial: false,
    options: { rolling: everyCheckpoint, parallelism: [1], records: 9, recordsPerCheckpoint: 3 },
  },
  {
    name: 'two writers, then three',
    partial: false,
    options: { rolling: everyCheckpoint, parallelism: [2, 3], records: 10, recordsPerCheckpoint: 4 },
  },
  {
    name: 'files that go on over checkpoints',
    partial: true,
    options: { rolling: overCheckpoints, parallelism: [1], records: 20, recordsPerCheckpoint: 3 },
  },
  {
    name: 'files that go on, three writers, then one',
    partial: true,
    options: { rolling: overCheckpoints, parallelism: [3, 1], records: 20, recordsPerCheckpoint: 5 },
  },
  {
    name: 'partitions, a file per checkpoint',
    partial: false,
    options: {
      rolling: everyCheckpoint,
      parallelism: [1],
      records: 4,
      recordsPerCheckpoint: 2,
      partitionOf: twoPartitions,
    },
  },
  {
    name: 'partitions, files that go on, two writers, then one',
    partial: true,
    options: {
      rolling: overCheckpoints,
      parallelism: [2, 1],
      records: 12,
      recordsPerCheckpoint: 6,
      partitionOf: twoPartitions,
    },
  },
];

describe('exactly-once file sink', () => {
  it.each(plans)('shows every record once when killed at any operation: $name', async ({ options, partial }) => {
    let finished = false;
    for (let stopAt = 0; !finished; stopAt++) {
      const directory = join(await temporaryDirectory(), 'out');
      const run = new SinkRun({ directory, ...options });
      finished = !(await isCrash(run.attempt(crashingFileSystem(stopAt))));
      const seen = await committedNumbers(directory);
      expect(new Set(seen).size, `killed at ${stopAt}`).toBe(seen.length);
      // A reader sees whole checkpoints: all that are complete, or all but the last, which the next attempt commits.
      if (!partial)
        expect([run.completedRecords, Math.max(0, run.completedRecords - options.recordsPerCheckpoint), 8]).toContain(
          seen.length,
        );
      const before = await committedContent(directory);
      if (!finished) await run.attempt(localFileSystem);
      expect(await committedNumbers(directory), `killed at ${stopAt}`).toEqual(upTo(options.records));
      const after = await committedContent(directory);
      for (const [name, hash] of before) expect(after.get(name), name).toBe(hash);
    }
  });

  it.each(plans)('shows every record once when also killed while recovering: $name', async ({ options }) => {
    for (let first = 5; first < 60; first += 9) {
      for (let second = 0; second < 25; second += 3) {
        const directory = join(await temporaryDirectory(), 'out');
        const run = new SinkRun({ directory, ...options });
        if (!(await isCrash(run.attempt(crashingFileSystem(first))))) return;
        if (await isCrash(run.attempt(crashingFileSystem(second)))) await run.attempt(localFileSystem);
        expect(await committedNumbers(directory), `killed at ${first}, then ${second}`).toEqual(upTo(options.records));
      }
    }
  });

  it('leaves no hidden file of a dead attempt when a later attempt has committed', async () => {
    const directory = await temporaryDirectory();
    const run = new SinkRun({
      directory,
      rolling: everyCheckpoint,
      parallelism: [2],
      records: 10,
      recordsPerCheckpoint: 2,
    });
    expect(await isCrash(run.attempt(crashingFileSystem(20)))).toBe(true);
    expect((await readdir(directory)).filter((name) => name.startsWith('.'))).not.toEqual([]);
    await run.attempt(localFileSystem);
    expect((await readdir(directory)).filter((name) => name.startsWith('.'))).toEqual([]);
  });

  it('syncs a file before renaming it and the directory after when it commits', async () => {
    const fileSystem = crashingFileSystem(Number.POSITIVE_INFINITY);
    const run = new SinkRun({
      directory: await temporaryDirectory(),
      rolling: everyCheckpoint,
      parallelism: [1],
      records: 1,
      recordsPerCheckpoint: 1,
    });
    await run.attempt(fileSystem);
    expect(fileSystem.operations).toEqual([
      ...['makeDirectory', 'makeDirectory'],
      // The writer: to the prepared name, durable.
      ...['remove', 'create', 'write', 'sync', 'rename', 'syncDirectory'],
      // The manifest is made, then says what will be renamed.
      ...['openAppend', 'write', 'sync', 'syncDirectory', 'openAppend', 'write', 'sync'],
      // To the final name, durable, and only then committed.
      ...['rename', 'syncDirectory', 'openAppend', 'write', 'sync'],
    ]);
  });

  it('cuts the file to its checkpointed length when more was written before the kill', async () => {
    const directory = await temporaryDirectory();
    const options = {
      directory,
      rolling: { ...overCheckpoints, maxBytes: 1000 },
      fileSystem: localFileSystem,
      nowMs: () => 0,
      encoder: new JsonLinesEncoder<string>(),
    };
    const first = new FileSinkWriter<string>(recordedContext(), options);
    await first.open([]);
    first.write('kept', Number.NaN, 0);
    const { state, committables } = await first.prepareCommit(1, false);
    expect(committables).toEqual([]);
    const [open] = (state[0] as WriterState).open;
    await appendFile(join(directory, open!.name), '"lost"\n"torn');
    const context = recordedContext({ attempt: 2 });
    const second = new FileSinkWriter<string>(context, options);
    await second.open(state);
    second.write('new', Number.NaN, 0);
    const prepared = await second.prepareCommit(2, true);
    const committer = new FileSinkCommitter(context, options);
    await committer.open();
    await committer.commit(prepared.committables.map((data) => ({ checkpointId: 2, subtaskIndex: 0, data })));
    const { values } = await drainSource(files.jsonl<string>(directory).source);
    expect(values).toEqual(['kept', 'new']);
    await first.close();
  });

  it('fails loudly when a checkpointed file is shorter than its checkpoint says', async () => {
    const directory = await temporaryDirectory();
    const options = {
      directory,
      rolling: overCheckpoints,
      fileSystem: localFileSystem,
      nowMs: () => 0,
      encoder: new JsonLinesEncoder<string>(),
    };
    const state: WriterState = {
      subtaskIndex: 0,
      nextSequence: 1,
      open: [{ subtaskIndex: 0, sequence: 0, partition: '', name: '.x.open', bytes: 5, records: 1 }],
    };
    await writeFile(join(directory, '.x.open'), 'abc');
    const writer = new FileSinkWriter<string>(recordedContext({ attempt: 2 }), options);
    await expect(writer.open([state])).rejects.toMatchObject({
      code: 'STORAGE_FAILED',
      message: expect.stringContaining('3 of the 5 bytes'),
    });
    await writer.close();
  });

  it.each([
    ['STORAGE_FULL', 'ENOSPC'],
    ['STORAGE_FAILED', 'EIO'],
  ])('says %s for ever when a write fails with %s', async (code, systemCode) => {
    const directory = await temporaryDirectory();
    let failing = true;
    const fileSystem = {
      ...localFileSystem,
      create: async (path: string) => {
        const file = await localFileSystem.create(path);
        return {
          ...file,
          write: (bytes: Uint8Array) =>
            failing ? Promise.reject(Object.assign(new Error('no'), { code: systemCode })) : file.write(bytes),
        };
      },
    };
    const writer = new FileSinkWriter<number>(recordedContext(), {
      directory,
      rolling: everyCheckpoint,
      fileSystem,
      nowMs: () => 0,
      encoder: new JsonLinesEncoder(),
    });
    await writer.open([]);
    writer.write(1, Number.NaN, 0);
    await expect(writer.prepareCommit(1, false)).rejects.toMatchObject({
      code,
      message: expect.stringContaining(directory),
    });
    failing = false;
    writer.write(2, Number.NaN, 0);
    await expect(writer.prepareCommit(2, false)).rejects.toMatchObject({ code });
    await expect(writer.drained()).rejects.toMatchObject({ code });
    await writer.close();
  });

  it('refuses the record when it is an update or a delete', async () => {
    const directory = await temporaryDirectory();
    const writer = new FileSinkWriter<number>(recordedContext(), {
      directory,
      rolling: everyCheckpoint,
      fileSystem: localFileSystem,
      nowMs: () => 0,
      encoder: new JsonLinesEncoder(),
    });
    expect(() => writer.write(1, Number.NaN, 3)).toThrow(expect.objectContaining({ code: 'NOT_SUPPORTED' }));
  });

  it('completes a file when it is older than maxAgeMs at a barrier', async () => {
    let now = 0;
    const directory = await temporaryDirectory();
    const rolling = { maxBytes: 1000, maxAgeMs: 100, onCheckpoint: false };
    const writer = new FileSinkWriter<number>(recordedContext(), {
      directory,
      rolling,
      fileSystem: localFileSystem,
      nowMs: () => now,
      encoder: new JsonLinesEncoder(),
    });
    await writer.open([]);
    writer.write(1, Number.NaN, 0);
    now = 99;
    expect((await writer.prepareCommit(1, false)).committables).toHaveLength(0);
    now = 100;
    expect((await writer.prepareCommit(2, false)).committables).toHaveLength(1);
    await writer.close();
  });
});

describe('file sink committer', () => {
  async function prepared(directory: string, values: readonly string[]): Promise<Committable[]> {
    const writer = new FileSinkWriter<string>(recordedContext(), {
      directory,
      rolling: everyCheckpoint,
      fileSystem: localFileSystem,
      nowMs: () => 0,
      encoder: new JsonLinesEncoder(),
    });
    await writer.open([]);
    for (const value of values) writer.write(value, Number.NaN, 0);
    const { committables } = await writer.prepareCommit(1, false);
    return committables.map((data) => ({ checkpointId: 1, subtaskIndex: 0, data }));
  }

  const committerFor = (directory: string, jobName = 'test'): FileSinkCommitter =>
    new FileSinkCommitter(recordedContext({ jobName }), { directory, fileSystem: localFileSystem });

  it('changes nothing when the same checkpoint is committed again', async () => {
    const directory = await temporaryDirectory();
    const committables = await prepared(directory, ['a']);
    await committerFor(directory).commit(committables);
    const manifest = await readFile(join(directory, manifestName));
    await committerFor(directory).commit(committables);
    expect(await readFile(join(directory, manifestName))).toEqual(manifest);
  });

  it('changes nothing when a committed file was taken away by its reader', async () => {
    const directory = await temporaryDirectory();
    const committables = await prepared(directory, ['a']);
    await committerFor(directory).commit(committables);
    await unlink(join(directory, 'part-0-0.jsonl'));
    await expect(committerFor(directory).commit(committables)).resolves.toBeUndefined();
  });

  it('fails loudly when neither the prepared nor the final file exists', async () => {
    const directory = await temporaryDirectory();
    const committables = await prepared(directory, ['a']);
    const [committable] = committables as [Committable];
    await unlink(join(directory, (committable.data as PartCommittable).from));
    await expect(committerFor(directory).commit(committables)).rejects.toMatchObject({
      code: 'STORAGE_FAILED',
      message: expect.stringContaining('the output is damaged: neither'),
    });
  });

  it('overwrites nothing when another file has the final name', async () => {
    const directory = await temporaryDirectory();
    const committables = await prepared(directory, ['a']);
    await writeFile(join(directory, 'part-0-0.jsonl'), 'mine');
    await expect(committerFor(directory).commit(committables)).rejects.toMatchObject({ code: 'OUTPUT_OCCUPIED' });
    expect(await readFile(join(directory, 'part-0-0.jsonl'), 'utf8')).toBe('mine');
  });

  it('refuses the directory when it belongs to another job', async () => {
    const directory = await temporaryDirectory();
    await committerFor(directory).commit(await prepared(directory, ['a']));
    await expect(committerFor(directory, 'other').open()).rejects.toMatchObject({
      code: 'OUTPUT_OCCUPIED',
      message: expect.stringContaining('job "test"'),
    });
  });

  it('refuses to guess when the manifest is damaged before its last line', async () => {
    const directory = await temporaryDirectory();
    await committerFor(directory).commit(await prepared(directory, ['a']));
    const manifest = await readFile(join(directory, manifestName));
    manifest[20] = (manifest[20] as number) ^ 1;
    await writeFile(join(directory, manifestName), manifest);
    await expect(committedFiles(directory)).rejects.toMatchObject({
      code: 'STORAGE_FAILED',
      message: expect.stringContaining('damaged at byte 0'),
    });
  });
});

describe('output directory', () => {
  async function written(workingDirectory: string): Promise<void> {
    const run = new SinkRun({
      directory: join(workingDirectory, 'out'),
      rolling: everyCheckpoint,
      parallelism: [1],
      records: 4,
      recordsPerCheckpoint: 2,
    });
    await run.attempt(localFileSystem);
  }

  it('is free when it does not exist, is empty or holds files of others', async () => {
    const workingDirectory = await temporaryDirectory();
    const { sink } = files.jsonl('out');
    expect(await sink.occupation(workingDirectory)).toBeNull();
    await mkdir(join(workingDirectory, 'out'));
    await writeFile(join(workingDirectory, 'out', 'notes.txt'), 'mine');
    expect(await sink.occupation(workingDirectory)).toBeNull();
  });

  it('is occupied when an earlier run committed there, and clearing removes that and nothing else', async () => {
    const workingDirectory = await temporaryDirectory();
    await written(workingDirectory);
    const out = join(workingDirectory, 'out');
    await writeFile(join(out, 'notes.txt'), 'mine');
    await writeFile(join(out, 'part-9-9.jsonl'), 'mine too');
    const occupation = await files.jsonl('out').sink.occupation(workingDirectory);
    expect(occupation?.description).toContain('2 committed files (4 records) of job "test"');
    await occupation?.clear();
    expect((await readdir(out)).sort()).toEqual(['notes.txt', 'part-9-9.jsonl']);
    expect(await files.jsonl('out').sink.occupation(workingDirectory)).toBeNull();
  });

  it('can be cleared and written anew when the run before was killed at any operation', async () => {
    let finished = false;
    for (let stopAt = 0; !finished; stopAt++) {
      const workingDirectory = await temporaryDirectory();
      const directory = join(workingDirectory, 'out');
      const options: SinkRunOptions = {
        directory,
        rolling: everyCheckpoint,
        parallelism: [1],
        records: 6,
        recordsPerCheckpoint: 3,
      };
      finished = !(await isCrash(new SinkRun(options).attempt(crashingFileSystem(stopAt))));
      await (await files.jsonl('out').sink.occupation(workingDirectory))?.clear();
      await new SinkRun({ ...options, records: 5 }).attempt(localFileSystem);
      expect(await committedNumbers(directory), `killed at ${stopAt}`).toEqual(upTo(5));
    }
  });
});
