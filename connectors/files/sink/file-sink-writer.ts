/**
 * Writer of the exactly-once file sink. Records become text in memory, text becomes buffers for the queue, files are sealed at
 * the sizes and times the rolling policy names. At a barrier everything is on disk: sealed files go to the committer, and a file
 * that goes on over the checkpoint is writer state with its durable length.
 *
 * A restored writer never appends to the file of an earlier try: that try may still be alive and writing. It copies the durable
 * part to a file of its own, which also gives it the hash, and leaves the old one alone.
 */
import { join } from 'node:path';
import { EngineError } from '../../../core/connector/index.ts';
import type { ConnectorContext, PlainData, PreparedCommit, SinkWriter } from '../../../core/connector/index.ts';
import { isEngineError } from '../../../core/errors.ts';
import { storageError } from '../storage-error.ts';
import type { SinkFileSystem } from './file-system.ts';
import { newPart } from './part-file.ts';
import type { PartCommittable, PartFile, SealedPart, WriterState } from './part-file.ts';
import { finalName, hiddenName, ownerTag, parseHiddenName } from './part-names.ts';
import { PartQueue } from './part-queue.ts';
import type { RecordEncoder } from './record-encoder.ts';
import { failpoint } from '../../../core/failpoint.ts';

export interface RollingPolicy {
  /** A file is completed when it has this many bytes. */
  readonly maxBytes: number;
  /** … or is this old, looked at when its buffer is written and at barriers; null for no limit. */
  readonly maxAgeMs: number | null;
  /** Complete the file at every checkpoint, so that its records are visible when the checkpoint completes. */
  readonly onCheckpoint: boolean;
}

export interface FileSinkWriterOptions<T> {
  /** Absolute. */
  readonly directory: string;
  readonly encoder: RecordEncoder<T>;
  /** The encoder says what kind of change a record is; else only new records are taken. */
  readonly acceptsChanges?: boolean;
  readonly rolling: RollingPolicy;
  readonly fileSystem: SinkFileSystem;
  readonly nowMs: () => number;
}

/** Row kind of a plain record; others change or take back earlier ones, which a file cannot. */
const insertKind = 0;
/** Text is turned into bytes and queued in pieces of this many UTF-16 units. */
const pieceChars = 64 * 1024;
/** With this many bytes waiting for the disk the writer has no room. */
const pendingMaxBytes = 4 * 1024 * 1024;

export class FileSinkWriter<T> implements SinkWriter<T> {
  readonly #context: ConnectorContext;
  readonly #options: FileSinkWriterOptions<T>;
  readonly #owner: string;
  readonly #queue: PartQueue;
  #part: PartFile | null = null;
  #text = '';
  #nextSequence = 0;
  /** Sealed files that no `prepareCommit` has handed over. */
  #unnamed: SealedPart[] = [];

  constructor(context: ConnectorContext, options: FileSinkWriterOptions<T>) {
    this.#context = context;
    this.#options = options;
    this.#owner = ownerTag(context.jobName, context.operatorId);
    const { directory, fileSystem } = options;
    this.#queue = new PartQueue({ directory, fileSystem, owner: this.#owner, attempt: context.attempt });
  }

  async open(restored: readonly PlainData[]): Promise<void> {
    const { directory, fileSystem } = this.#options;
    try {
      await fileSystem.makeDirectory(directory);
    } catch (error) {
      throw storageError('creating the output directory', directory, error);
    }
    const states = restored as readonly WriterState[];
    // Every writer goes on above all sequences ever used, whatever the parallelism was: no file name comes twice.
    for (const state of states) this.#nextSequence = Math.max(this.#nextSequence, state.nextSequence);
    const { subtaskIndex, parallelism } = this.#context;
    for (const state of states) {
      if (state.open === null || state.subtaskIndex % parallelism !== subtaskIndex) continue;
      const part = await this.#adopt(state.open);
      // One file is continued; files of writers that no longer exist are completed with what they have.
      if (this.#part === null && state.subtaskIndex === subtaskIndex) this.#part = part;
      else this.#queue.seal(part);
    }
  }

  write(value: T, _timestamp: number, rowKind: number): void {
    if (rowKind !== insertKind && !this.#options.acceptsChanges) throw notAppendOnly(this.#options.directory);
    // First, because it may refuse the record: no file is started for a record that is not written.
    const line = this.#options.encoder.encode(value, rowKind);
    const part = this.#part ?? this.#startPart();
    this.#text += line;
    part.records++;
    if (this.#text.length >= pieceChars) this.#flushText(part);
  }

  get hasRoom(): boolean {
    return this.#queue.pendingBytes < pendingMaxBytes;
  }

  async drained(): Promise<void> {
    await this.#queue.idle();
  }

  async prepareCommit(_checkpointId: number, end: boolean): Promise<PreparedCommit> {
    const part = this.#part;
    if (part !== null) {
      this.#flushText(part);
      if (this.#part !== null && (end || this.#options.rolling.onCheckpoint)) this.#sealPart(part);
    }
    await this.#queue.idle();
    const sealed = this.#takeUnnamed();
    const state = await this.#durableState();
    if (sealed.length > 0 || state.open !== null) await this.#syncDirectory();
    this.#unnamed = [];
    failpoint('file-sink.prepared');
    return { committables: sealed.map((file) => this.#committable(file)), state: [state] };
  }

  async close(): Promise<void> {
    const part = this.#part;
    this.#part = null;
    this.#text = '';
    // Best effort: what no checkpoint can name is of no use, and what stays is removed after a later commit.
    try {
      await this.#queue.stop();
      if (part !== null && !part.named)
        await this.#options.fileSystem.remove(join(this.#options.directory, part.openName));
      for (const file of this.#takeUnnamed())
        if (!file.named) await this.#options.fileSystem.remove(join(this.#options.directory, file.preparedName));
    } catch (error) {
      this.#context.logger.warn(
        `closing output files in ${this.#options.directory} failed: ${String(error)}; leftovers are removed later`,
      );
    }
  }

  #startPart(): PartFile {
    const { encoder, nowMs } = this.#options;
    const { subtaskIndex, attempt } = this.#context;
    const id = { subtaskIndex, sequence: this.#nextSequence };
    const part = newPart(id, hiddenName(this.#owner, { ...id, attempt, stage: 'open' }), nowMs());
    this.#nextSequence++;
    this.#part = part;
    this.#text = encoder.header();
    return part;
  }

  #flushText(part: PartFile): void {
    if (this.#text.length > 0) {
      const bytes = Buffer.from(this.#text, 'utf8');
      this.#text = '';
      part.hash.update(bytes);
      part.bytes += bytes.length;
      this.#queue.write(part, bytes);
    }
    const { maxBytes, maxAgeMs } = this.#options.rolling;
    if (part.bytes >= maxBytes || (maxAgeMs !== null && this.#options.nowMs() - part.startedMs >= maxAgeMs))
      this.#sealPart(part);
  }

  #sealPart(part: PartFile): void {
    this.#queue.seal(part);
    this.#part = null;
  }

  #takeUnnamed(): SealedPart[] {
    this.#unnamed.push(...this.#queue.takeSealed());
    return this.#unnamed;
  }

  async #durableState(): Promise<WriterState> {
    const { subtaskIndex } = this.#context;
    const nextSequence = this.#nextSequence;
    const part = this.#part;
    if (part === null) return { subtaskIndex, nextSequence, open: null };
    try {
      await part.handle?.sync();
    } catch (error) {
      throw storageError('syncing', join(this.#options.directory, part.openName), error);
    }
    part.named = true;
    const { openName: name, bytes, records } = part;
    return {
      subtaskIndex,
      nextSequence,
      open: { subtaskIndex: part.subtaskIndex, sequence: part.sequence, name, bytes, records },
    };
  }

  async #syncDirectory(): Promise<void> {
    try {
      await this.#options.fileSystem.syncDirectory(this.#options.directory);
    } catch (error) {
      throw storageError('syncing', this.#options.directory, error);
    }
  }

  #committable(file: SealedPart): PartCommittable {
    const { preparedName: from, bytes, sha256, records } = file;
    return {
      from,
      to: finalName(file, this.#options.encoder.extension),
      bytes,
      sha256,
      records,
      attempt: this.#context.attempt,
    };
  }

  /** Where the file of a checkpoint is: the try that wrote it may have completed it after the checkpoint, before it died. */
  async #fileOf(open: NonNullable<WriterState['open']>): Promise<string> {
    const { directory, fileSystem } = this.#options;
    const hidden = parseHiddenName(this.#owner, open.name);
    const names =
      hidden === null ? [open.name] : [open.name, hiddenName(this.#owner, { ...hidden, stage: 'prepared' })];
    for (const name of names) {
      const path = join(directory, name);
      if ((await fileSystem.length(path)) !== null) return path;
    }
    throw missing(join(directory, open.name), open.bytes);
  }

  async #adopt(open: NonNullable<WriterState['open']>): Promise<PartFile> {
    const { directory, fileSystem, nowMs } = this.#options;
    const { attempt } = this.#context;
    const id = { subtaskIndex: open.subtaskIndex, sequence: open.sequence };
    const part = newPart(id, hiddenName(this.#owner, { ...id, attempt, stage: 'open' }), nowMs());
    const from = await this.#fileOf(open);
    const to = join(directory, part.openName);
    try {
      await fileSystem.remove(to);
      const file = await fileSystem.create(to);
      this.#queue.attach(part, file);
      for await (const piece of fileSystem.read(from)) {
        const wanted = piece.subarray(0, open.bytes - part.bytes);
        if (wanted.length === 0) break;
        await file.write(wanted);
        part.hash.update(wanted);
        part.bytes += wanted.length;
      }
    } catch (error) {
      throw isEngineError(error) ? error : storageError('taking over', from, error);
    }
    if (part.bytes < open.bytes) throw missing(from, open.bytes, part.bytes);
    part.records = open.records;
    failpoint('file-sink.part-adopted');
    return part;
  }
}

function notAppendOnly(directory: string): EngineError {
  return new EngineError(
    'NOT_SUPPORTED',
    `the file sink ${directory} got an update or delete; files only take new records. Window the stream so that results are final, or use a sink that takes changes.`,
    { ids: { path: directory } },
  );
}

function missing(path: string, bytes: number, found = 0): EngineError {
  return new EngineError(
    'STORAGE_FAILED',
    `the output file ${path} has ${found} of the ${bytes} bytes that the checkpoint relies on. Records are missing: restore the file, or start the job anew with an empty output directory.`,
    { domain: 'external', ids: { path } },
  );
}
