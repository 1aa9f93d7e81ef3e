/**
 * Committer of the file sink. A commit is: note in the manifest what will be renamed, rename, sync the directory, note that it is
 * committed. A crash anywhere leaves a state from which the repeated commit ends in the same files: a file is either still under
 * its prepared name, or under its final name with the same length and hash. Anything else is damage and said loudly.
 */
import { dirname, join } from 'node:path';
import { EngineError } from '../../../core/connector/index.ts';
import type { Committable, ConnectorContext, SinkCommitter } from '../../../core/connector/index.ts';
import { isEngineError } from '../../../core/errors.ts';
import { storageError } from '../storage-error.ts';
import type { SinkFileSystem } from './file-system.ts';
import { hashFile } from './hash-file.ts';
import { manifestHeader, manifestLine, manifestName, readManifest } from './manifest.ts';
import type { CommittedFile, Manifest, ManifestLine } from './manifest.ts';
import type { PartCommittable } from './part-file.ts';
import { ownerTag, parseHiddenName } from './part-names.ts';
import { failpoint } from '../../../core/failpoint.ts';

interface Pending {
  readonly part: PartCommittable;
  readonly file: CommittedFile;
}

export interface FileSinkCommitterOptions {
  /** Absolute. */
  readonly directory: string;
  readonly fileSystem: SinkFileSystem;
  /** Whether every partition with committed files has an empty file of this name; absent or null for none. */
  readonly successFile?: string | null;
}

export class FileSinkCommitter implements SinkCommitter {
  readonly #context: ConnectorContext;
  readonly #directory: string;
  readonly #fileSystem: SinkFileSystem;
  readonly #successFile: string | null;
  readonly #owner: string;
  #manifest: Manifest | null = null;

  constructor(context: ConnectorContext, options: FileSinkCommitterOptions) {
    this.#context = context;
    this.#directory = options.directory;
    this.#fileSystem = options.fileSystem;
    this.#successFile = options.successFile ?? null;
    this.#owner = ownerTag(context.jobName, context.operatorId);
  }

  async open(): Promise<void> {
    await this.#guarded(async () => {
      await this.#fileSystem.makeDirectory(this.#directory);
      await this.#currentManifest();
    });
  }

  async commit(committables: readonly Committable[]): Promise<void> {
    await this.#guarded(async () => {
      const manifest = await this.#currentManifest();
      const pending: Pending[] = [];
      for (const committable of inOrder(committables)) {
        const part = committable.data as PartCommittable;
        if (this.#isCommitted(part, manifest)) continue;
        const { to: name, bytes, sha256, records } = part;
        pending.push({ part, file: { name, bytes, sha256, records, checkpointId: committable.checkpointId } });
      }
      if (pending.length > 0) await this.#commitFiles(pending, manifest);
    });
  }

  /** Hidden files of dead tries. Until a checkpoint of this try is committed, one of them may still be needed. */
  async removeLeftovers(): Promise<void> {
    await this.#guarded(async () => {
      for (const name of await this.#fileSystem.names(this.#directory)) {
        const hidden = parseHiddenName(this.#owner, name);
        if (hidden === null || hidden.attempt >= this.#context.attempt) continue;
        await this.#fileSystem.remove(join(this.#directory, name));
        failpoint('file-sink.leftover-removed');
      }
    });
  }

  async close(): Promise<void> {}

  async #commitFiles(pending: readonly Pending[], known: Manifest | null): Promise<void> {
    const manifest = known ?? (await this.#createManifest());
    const files = pending.map(({ file }) => file);
    const intentBytes = await this.#append({ type: 'intent', files }, manifest.bytes);
    failpoint('file-sink.intent-noted');
    const partitions = new Set(pending.map(({ part }) => dirname(part.to)));
    for (const partition of partitions) await this.#makePartition(partition);
    for (const { part } of pending) {
      await this.#settle(part);
      failpoint('file-sink.part-renamed');
    }
    for (const partition of partitions) await this.#closePartition(partition);
    await this.#fileSystem.syncDirectory(this.#directory);
    failpoint('file-sink.all-renamed');
    const bytes = await this.#append({ type: 'commit', files }, intentBytes);
    failpoint('file-sink.commit-noted');
    for (const file of files) manifest.committed.set(file.name, file);
    this.#manifest = { ...manifest, bytes };
  }

  async #makePartition(partition: string): Promise<void> {
    if (partition !== '.') await this.#fileSystem.makeDirectory(join(this.#directory, partition));
  }

  /** Names the marker, and makes the names durable from the partition up to the output directory, which the caller syncs. */
  async #closePartition(partition: string): Promise<void> {
    if (partition === '.') return;
    const directory = join(this.#directory, partition);
    if (this.#successFile !== null) {
      const path = join(directory, this.#successFile);
      if ((await this.#fileSystem.length(path)) === null) await (await this.#fileSystem.openAppend(path)).close();
    }
    for (let path = partition; path !== '.'; path = dirname(path))
      await this.#fileSystem.syncDirectory(join(this.#directory, path));
  }

  async #createManifest(): Promise<Manifest> {
    const header = manifestHeader(this.#owner, this.#context.jobName, this.#context.operatorId);
    const bytes = await this.#append(header, 0);
    await this.#fileSystem.syncDirectory(this.#directory);
    return { header, committed: new Map(), intended: new Map(), bytes };
  }

  /** Adds a line after `validBytes` and makes it durable; a torn line that a crash left there goes first. Returns the new length. */
  async #append(line: ManifestLine, validBytes: number): Promise<number> {
    const path = join(this.#directory, manifestName);
    const length = await this.#fileSystem.length(path);
    if (length !== null && length > validBytes) await this.#fileSystem.truncate(path, validBytes);
    const bytes = Buffer.from(manifestLine(line), 'utf8');
    const file = await this.#fileSystem.openAppend(path);
    try {
      await file.write(bytes);
      await file.sync();
    } finally {
      await file.close();
    }
    return validBytes + bytes.length;
  }

  /** What the manifest says now. Read again when its length is not the one we left: then someone, or a failed try of ours, wrote. */
  async #currentManifest(): Promise<Manifest | null> {
    const length = await this.#fileSystem.length(join(this.#directory, manifestName));
    if (this.#manifest === null || length !== this.#manifest.bytes)
      this.#manifest = await readManifest(this.#directory, this.#fileSystem);
    const header = this.#manifest?.header;
    if (header === undefined || header.owner === this.#owner) return this.#manifest;
    throw new EngineError(
      'OUTPUT_OCCUPIED',
      `the output directory ${this.#directory} belongs to operator ${header.operatorId} of job "${header.jobName}". Give every sink a directory of its own.`,
      { ids: { path: this.#directory } },
    );
  }

  #isCommitted(part: PartCommittable, manifest: Manifest | null): boolean {
    const listed = manifest?.committed.get(part.to);
    if (listed === undefined) return false;
    if (listed.sha256 === part.sha256) return true;
    throw this.#occupied(
      part.to,
      'with other content. This happens when a job goes on from an older savepoint after newer results were committed',
    );
  }

  /** Brings one file to its final name, whatever an earlier try left. */
  async #settle(part: PartCommittable): Promise<void> {
    const from = join(this.#directory, part.from);
    const to = join(this.#directory, part.to);
    const finalBytes = await this.#fileSystem.length(to);
    if (finalBytes !== null) {
      if (finalBytes !== part.bytes || (await hashFile(to, this.#fileSystem)) !== part.sha256)
        throw this.#occupied(part.to, 'and was not made by this job');
      return;
    }
    const preparedBytes = await this.#fileSystem.length(from);
    if (preparedBytes !== part.bytes) throw damaged(from, to, part.bytes, preparedBytes);
    await this.#fileSystem.rename(from, to);
  }

  #occupied(name: string, why: string): EngineError {
    const path = join(this.#directory, name);
    return new EngineError(
      'OUTPUT_OCCUPIED',
      `the output file ${path} exists already ${why}. Nothing was overwritten: move it away, or use another output directory.`,
      { ids: { path } },
    );
  }

  async #guarded(action: () => Promise<void>): Promise<void> {
    try {
      await action();
    } catch (error) {
      throw isEngineError(error) ? error : storageError('committing to', this.#directory, error);
    }
  }
}

function inOrder(committables: readonly Committable[]): Committable[] {
  return [...committables].sort(
    (left, right) => left.checkpointId - right.checkpointId || left.subtaskIndex - right.subtaskIndex,
  );
}

function damaged(from: string, to: string, bytes: number, found: number | null): EngineError {
  const what = found === null ? `neither ${from} nor ${to} exists` : `${from} has ${found} bytes instead of ${bytes}`;
  return new EngineError(
    'STORAGE_FAILED',
    `the output is damaged: ${what}, but a completed checkpoint promised ${bytes} bytes. Results are missing: restore the file, or start the job anew with an empty output directory.`,
    { domain: 'external', ids: { path: to } },
  );
}
