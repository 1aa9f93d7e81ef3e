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
import type { OpenPartState, PartCommittable, PartFile, SealedPart, WriterState } from './part-file.ts';
import { finalName, hiddenName, ownerTag, parseHiddenName } from './part-names.ts';
import { PartQueue } from './part-queue.ts';
import { checkPartition } from './partition-path.ts';
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
  /** The directory below `directory` that a record goes to; absent or null when all go to `directory` itself. */
  readonly partitionOf?: ((record: T) => string) | null;
  readonly fileSystem: SinkFileSystem;
  readonly nowMs: () => number;
}

/** Row kind of a plain record; others change or take back earlier ones, which a file cannot. */
const insertKind = 0;
/** Text is turned into bytes and queued in pieces of this many UTF-16 units. */
const pieceChars = 64 * 1024;
/** With this many bytes waiting for the disk the writer has no room. */
const pendingMaxBytes = 4 * 1024 * 1024;
/** Files a writer keeps open at a time; the one begun first is completed when another partition needs a place. */
const openPartsMax = 100;

/** A file being written, and its text that has not gone to the queue yet. */
interface OpenPart {
  readonly file: PartFile;
  text: string;
}

export class FileSinkWriter<T> implements SinkWriter<T> {
  readonly #context: ConnectorContext;
  readonly #options: FileSinkWriterOptions<T>;
  readonly #owner: string;
  readonly #queue: PartQueue;
  /** By partition, the one begun first at the front. */
  readonly #parts = new Map<string, OpenPart>();
  /** The one written to last: most records go where the one before went. */
  #last: OpenPart | null = null;
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
      if (state.subtaskIndex % parallelism !== subtaskIndex) continue;
      for (const open of state.open) {
        const file = await this.#adopt(open);
        // Our own files are continued; those of writers that no longer exist are completed with what they have.
        if (state.subtaskIndex === subtaskIndex) this.#parts.set(file.partition, { file, text: '' });
        else this.#queue.seal(file);
      }
    }
  }

  write(value: T, _timestamp: number, rowKind: number): void {
    if (rowKind !== insertKind && !this.#options.acceptsChanges) throw notAppendOnly(this.#options.directory);
    // First, because it may refuse the record: no file is started for a record that is not written.
    const { encoder, partitionOf = null } = this.#options;
    const line = encoder.encode(value, rowKind);
    const partition = partitionOf === null ? '' : partitionOf(value);
    const part = this.#last !== null && this.#last.file.partition === partition ? this.#last : this.#partOf(partition);
    part.text += line;
    part.file.records++;
    if (part.text.length >= pieceChars) this.#flushText(part);
  }

  get hasRoom(): boolean {
    return this.#queue.pendingBytes < pendingMaxBytes;
  }

  async drained(): Promise<void> {
    await this.#queue.idle();
  }

  async prepareCommit(_checkpointId: number, end: boolean): Promise<PreparedCommit> {
    for (const part of [...this.#parts.values()]) {
      this.#flushText(part);
      if (this.#isOpen(part) && (end || this.#options.rolling.onCheckpoint)) this.#sealPart(part);
    }
    await this.#queue.idle();
    const sealed = this.#takeUnnamed();
    const state = await this.#durableState();
    if (sealed.length > 0 || state.open.length > 0) await this.#syncDirectory();
    this.#unnamed = [];
    failpoint('file-sink.prepared');
    return { committables: sealed.map((file) => this.#committable(file)), state: [state] };
  }

  async close(): Promise<void> {
    const parts = [...this.#parts.values()];
    this.#parts.clear();
    this.#last = null;
    // Best effort: what no checkpoint can name is of no use, and what stays is removed after a later commit.
    try {
      await this.#queue.stop();
      for (const { file } of parts)
        if (!file.named) await this.#options.fileSystem.remove(join(this.#options.directory, file.openName));
      for (const file of this.#takeUnnamed())
        if (!file.named) await this.#options.fileSystem.remove(join(this.#options.directory, file.preparedName));
    } catch (error) {
      this.#context.logger.warn(
        `closing output files in ${this.#options.directory} failed: ${String(error)}; leftovers are removed later`,
      );
    }
  }

  /** The file of a partition, begun when it has none. */
  #partOf(partition: string): OpenPart {
    const part = this.#parts.get(partition) ?? this.#startPart(partition);
    this.#last = part;
    return part;
  }

  #startPart(partition: string): OpenPart {
    if ((this.#options.partitionOf ?? null) !== null) checkPartition(partition, this.#options.directory);
    const [first] = this.#parts.values();
    if (first !== undefined && this.#parts.size >= openPartsMax) {
      this.#flushText(first);
      if (this.#isOpen(first)) this.#sealPart(first);
    }
    const { encoder, nowMs } = this.#options;
    const { subtaskIndex, attempt } = this.#context;
    const id = { subtaskIndex, sequence: this.#nextSequence };
    const openName = hiddenName(this.#owner, { ...id, attempt, stage: 'open' });
    const part = { file: newPart({ ...id, partition, openName, startedMs: nowMs() }), text: encoder.header() };
    this.#nextSequence++;
    this.#parts.set(partition, part);
    return part;
  }

  #isOpen(part: OpenPart): boolean {
    return this.#parts.get(part.file.partition) === part;
  }

  #flushText(part: OpenPart): void {
    const { file } = part;
    if (part.text.length > 0) {
      const bytes = Buffer.from(part.text, 'utf8');
      part.text = '';
      file.hash.update(bytes);
      file.bytes += bytes.length;
      this.#queue.write(file, bytes);
    }
    const { maxBytes, maxAgeMs } = this.#options.rolling;
    if (file.bytes >= maxBytes || (maxAgeMs !== null && this.#options.nowMs() - file.startedMs >= maxAgeMs))
      this.#sealPart(part);
  }

  #sealPart(part: OpenPart): void {
    this.#queue.seal(part.file);
    this.#parts.delete(part.file.partition);
    if (this.#last === part) this.#last = null;
  }

  #takeUnnamed(): SealedPart[] {
    this.#unnamed.push(...this.#queue.takeSealed());
    return this.#unnamed;
  }

  async #durableState(): Promise<WriterState> {
    const { subtaskIndex } = this.#context;
    const nextSequence = this.#nextSequence;
    const open: OpenPartState[] = [];
    for (const { file } of this.#parts.values()) {
      try {
        await file.handle?.sync();
      } catch (error) {
        throw storageError('syncing', join(this.#options.directory, file.openName), error);
      }
      file.named = true;
      const { sequence, partition, openName: name, bytes, records } = file;
      open.push({ subtaskIndex: file.subtaskIndex, sequence, partition, name, bytes, records });
    }
    return { subtaskIndex, nextSequence, open };
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
  async #fileOf(open: OpenPartState): Promise<string> {
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

  async #adopt(open: OpenPartState): Promise<PartFile> {
    const { directory, fileSystem, nowMs } = this.#options;
    const { attempt } = this.#context;
    const id = { subtaskIndex: open.subtaskIndex, sequence: open.sequence };
    const openName = hiddenName(this.#owner, { ...id, attempt, stage: 'open' });
    const part = newPart({ ...id, partition: open.partition, openName, startedMs: nowMs() });
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
