/**
 * Planner of all file sources: turns the paths a user gave into splits, once, in a fixed order: the order of the paths, and by
 * name inside a directory. Every file is looked at while planning, so a missing one fails the job at its start.
 */
import { stat, readdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { EngineError } from '../../core/connector/index.ts';
import type { ConnectorContext, PlainData, PlannedSplits, SplitPlanner } from '../../core/connector/index.ts';
import { describeInput } from './input-file.ts';
import type { FileSplit } from './input-file.ts';
import { committedFiles } from './sink/manifest.ts';
import { inputNotFound, storageError, systemCode } from './storage-error.ts';

/** Turns one planned file into its splits: one for text, one or one per row group for parquet. */
export type CutFile = (file: FileSplit, workingDirectory: string) => Promise<readonly FileSplit[]>;

const wholeFile: CutFile = async (file) => [file];

export class FilePlanner implements SplitPlanner<FileSplit> {
  readonly #paths: readonly string[];
  readonly #context: ConnectorContext;
  readonly #cutFile: CutFile;
  #planned = false;

  constructor(paths: readonly string[], context: ConnectorContext, cutFile: CutFile = wholeFile) {
    this.#paths = paths;
    this.#context = context;
    this.#cutFile = cutFile;
  }

  async open(restored: PlainData | undefined): Promise<void> {
    this.#planned = (restored as { planned?: boolean } | undefined)?.planned === true;
  }

  async next(): Promise<PlannedSplits<FileSplit>> {
    if (this.#planned) return { splits: [], done: true };
    const { workingDirectory } = this.#context;
    const files = await listInputs(this.#paths, workingDirectory);
    const splits: FileSplit[] = [];
    for (const path of files) {
      const file = await describeInput(path, workingDirectory);
      splits.push(...(await this.#cutFile(file, workingDirectory)));
    }
    this.#planned = true;
    return { splits, done: true };
  }

  snapshot(): PlainData {
    return { planned: this.#planned };
  }

  async close(): Promise<void> {}
}

/** The files behind paths and directories. Fails for a missing path, an empty directory and a file named twice. */
export async function listInputs(paths: readonly string[], workingDirectory: string): Promise<string[]> {
  const files: string[] = [];
  for (const path of paths) files.push(...(await filesAt(path, workingDirectory)));
  const seen = new Set<string>();
  for (const file of files) {
    const absolute = resolve(workingDirectory, file);
    if (seen.has(absolute)) {
      throw new EngineError(
        'USAGE',
        `the input ${absolute} is named twice; every file is read once. Remove one of the paths.`,
        {
          ids: { path: absolute },
        },
      );
    }
    seen.add(absolute);
  }
  return files;
}

async function filesAt(path: string, workingDirectory: string): Promise<string[]> {
  const absolute = resolve(workingDirectory, path);
  let isDirectory: boolean;
  try {
    isDirectory = (await stat(absolute)).isDirectory();
  } catch (error) {
    const code = systemCode(error);
    if (code === 'ENOENT' || code === 'ENOTDIR') throw inputNotFound(absolute, workingDirectory, error);
    throw storageError('reading', absolute, error);
  }
  if (!isDirectory) return [path];
  const names = await namesIn(absolute);
  if (names.length === 0) {
    throw new EngineError(
      'INPUT_NOT_FOUND',
      `the input directory ${absolute} has no files (hidden ones and those that start with "_" are not read). Name a directory with files, or the files themselves.`,
      { ids: { path: absolute } },
    );
  }
  return names.map((name) => join(path, name));
}

/** A directory written by a Millrace sink is read through its manifest: uncommitted files are not input. */
async function namesIn(directory: string): Promise<string[]> {
  const committed = await committedFiles(directory);
  if (committed !== null) return committed.map((file) => file.name);
  const entries = await readdir(directory, { withFileTypes: true });
  const names = entries.filter((entry) => entry.isFile() && !/^[._]/.test(entry.name)).map((entry) => entry.name);
  // By code units, not by locale: the order of splits must not depend on the machine.
  return names.sort((left, right) => (left < right ? -1 : 1));
}
