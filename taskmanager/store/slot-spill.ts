/**
 * Rows that a slot has evicted with changes no complete checkpoint has yet: kept in temporary files until one has. A checkpoint
 * takes those of its epochs before the rows the slot still had.
 *
 * A file has no name (it is removed right after it was made), so nothing of it is left when the task manager ends, however it
 * ends, and no manifest can name it. It goes when none of its blocks is needed; a new one is begun now and then, so that
 * old blocks do not hold the space of new ones for long.
 *
 * What a checkpoint was given stays readable until it has been read, whatever is dropped meanwhile.
 */
import type { RowBlock } from '../../runtime/checkpoint/row-block.ts';
import type { OpenFile } from '../../storage/file-system.ts';
import { EngineError } from '../../core/errors.ts';
import { storageError } from '../../storage/storage-errors.ts';
import { checksumOf } from './state-file-format.ts';

/** Begin another file when one holds this much. */
export const spillFileBytesMax = 64 * 1024 * 1024;
/** How such a file is called in errors. */
const fileName = 'temporary file of evicted rows';

interface SpillFile {
  readonly opened: Promise<OpenFile>;
  bytes: number;
  /** Blocks that may still be asked for. */
  blocks: number;
  /** Checkpoints that have not read theirs yet. */
  readers: number;
  closed: boolean;
}

interface SpilledBlock {
  readonly owner: number;
  readonly epoch: number;
  readonly file: SpillFile;
  readonly offset: number;
  readonly bytes: number;
  readonly operatorId: string;
  readonly stateName: string;
  readonly rowCount: number;
  readonly checksum: number;
}

/** Blocks of a checkpoint that are read when their turn comes. */
export interface SpilledBlocks {
  /** To be called once; releases them at its end. @throws EngineError STORAGE_FAILED, STORAGE_FULL */
  read(): AsyncGenerator<RowBlock>;
  /** They are not wanted any more. */
  release(): void;
}

export class SlotSpill {
  readonly #openFile: () => Promise<OpenFile>;
  readonly #closing: (closing: Promise<void>) => void;
  readonly #fileBytesMax: number;
  #blocks: SpilledBlock[] = [];
  #current: SpillFile | null = null;
  /** Everything put so far is in its file. Once it fails it stays so: offsets are not known any more. */
  #written: Promise<void> = Promise.resolve();

  /**
   * @param openFile a new file without a name
   * @param closing told of every file being closed
   */
  constructor(
    openFile: () => Promise<OpenFile>,
    closing: (closing: Promise<void>) => void,
    fileBytesMax: number = spillFileBytesMax,
  ) {
    this.#openFile = openFile;
    this.#closing = closing;
    this.#fileBytesMax = fileBytesMax;
  }

  /** Resolved when the block is in the file. @throws EngineError STORAGE_FULL, STORAGE_FAILED */
  put(owner: number, epoch: number, { operatorId, stateName, rowCount, bytes }: RowBlock): Promise<void> {
    const file = this.#fileFor();
    const offset = file.bytes;
    const place = { owner, epoch, file, offset, bytes: bytes.length, checksum: checksumOf(bytes) };
    this.#blocks.push({ ...place, operatorId, stateName, rowCount });
    file.bytes += bytes.length;
    file.blocks++;
    this.#written = this.#written.then(() => append(file, bytes));
    return this.#written;
  }

  /** The blocks of an owner of the epochs after `from`, up to `to`, in the order in which they were put. */
  select(owner: number, from: number, to: number): SpilledBlocks {
    const blocks = this.#blocks.filter((block) => block.owner === owner && block.epoch > from && block.epoch <= to);
    const files = new Set(blocks.map((block) => block.file));
    for (const file of files) file.readers++;
    let released = false;
    const release = (): void => {
      if (released) return;
      released = true;
      for (const file of files) file.readers--;
      for (const file of files) this.#closeUnneeded(file);
    };
    const written = this.#written;
    return { read: () => readBlocks(blocks, written, release), release };
  }

  /** The blocks of an owner of epochs up to this one are in a complete checkpoint. */
  drop(owner: number, epoch: number): void {
    this.#remove((block) => block.owner === owner && block.epoch <= epoch);
  }

  /** The slot is gone; what checkpoints were given stays readable for them. */
  close(): void {
    const current = this.#current;
    this.#current = null;
    this.#remove(() => true);
    if (current !== null) this.#closeUnneeded(current);
  }

  #remove(isDropped: (block: SpilledBlock) => boolean): void {
    const kept: SpilledBlock[] = [];
    const files = new Set<SpillFile>();
    for (const block of this.#blocks) {
      if (!isDropped(block)) {
        kept.push(block);
        continue;
      }
      block.file.blocks--;
      files.add(block.file);
    }
    this.#blocks = kept;
    for (const file of files) this.#closeUnneeded(file);
  }

  #fileFor(): SpillFile {
    if (this.#current !== null && this.#current.bytes < this.#fileBytesMax) return this.#current;
    const opened = this.#openFile();
    // Told by the write that needs it.
    opened.catch(() => undefined);
    this.#current = { opened, bytes: 0, blocks: 0, readers: 0, closed: false };
    return this.#current;
  }

  #closeUnneeded(file: SpillFile): void {
    if (file.blocks > 0 || file.readers > 0 || file.closed) return;
    if (file === this.#current) this.#current = null;
    file.closed = true;
    this.#closing(closeAfter(this.#written, file));
  }
}

async function append(file: SpillFile, bytes: Uint8Array): Promise<void> {
  const opened = await file.opened;
  try {
    await opened.append(bytes);
  } catch (error) {
    throw storageError(error, 'write', fileName);
  }
}

/** A write that fails is told by the write; a close that fails loses nothing. */
async function closeAfter(written: Promise<void>, file: SpillFile): Promise<void> {
  await written.catch(() => undefined);
  await file.opened.then((opened) => opened.close()).catch(() => undefined);
}

async function* readBlocks(
  blocks: readonly SpilledBlock[],
  written: Promise<void>,
  release: () => void,
): AsyncGenerator<RowBlock> {
  try {
    await written;
    for (const block of blocks) {
      const { operatorId, stateName, rowCount } = block;
      yield { operatorId, stateName, rowCount, bytes: await readBlock(block) };
    }
  } finally {
    release();
  }
}

async function readBlock({ file, offset, bytes, checksum }: SpilledBlock): Promise<Uint8Array> {
  const target = new Uint8Array(new ArrayBuffer(bytes));
  const opened = await file.opened;
  let filled: number;
  try {
    filled = await opened.read(target, offset);
  } catch (error) {
    throw storageError(error, 'read', fileName);
  }
  if (filled === bytes && checksumOf(target) === checksum) return target;
  throw new EngineError(
    'STORAGE_FAILED',
    `what was read from a ${fileName} at ${offset} is not what was written there → check the disk of the state directory`,
    { domain: 'external', retry: 'backoff' },
  );
}
