/**
 * Where whole, immutable objects live: state files, manifests, graphs, artifacts. A checkpoint may be called complete only
 * because `put` has resolved, so a resolved `put` promises: every byte is durable under that name, and the name never
 * meant other bytes.
 *
 * Architecture invariants: names are unique and never overwritten, so a reader needs no lock and a retry takes a new name; an
 * object is addressed by name *and* hash, so a reader never trusts what it finds under a name. The store knows nothing of
 * checkpoints: which objects are still needed is decided by the job manager alone.
 */
import { EngineError } from '../core/errors.ts';

/** Address of an object: the same shape as `ObjectRef` of the control plane. */
export interface StoredObject {
  /** Relative to the root of the store; segments separated by `/`. */
  readonly name: string;
  /** Lower-case hex of the whole object. */
  readonly sha256: string;
  readonly bytes: number;
}

/** An object opened for reading parts of it. Length was checked at opening; contents are the reader's to check. */
export interface RandomAccessObject {
  readonly bytes: number;
  /**
   * Exactly `length` bytes from `offset`, in an ArrayBuffer of their own (it may be transferred to another thread).
   * @throws EngineError CHECKPOINT_UNREADABLE when the object ends before, STORAGE_FAILED when reading fails
   */
  read(offset: number, length: number): Promise<Uint8Array>;
  close(): Promise<void>;
}

export interface ListedObject {
  readonly name: string;
  readonly bytes: number;
}

export interface ObjectStore {
  /** For messages and logs: what and where this store is. */
  readonly root: string;
  /**
   * Stores an object; durable when resolved. A chunk of an iterable may be reused by its producer once the next one is asked
   * for. When the iterable throws, nothing is stored and its error is rethrown as it is.
   * @throws EngineError STORAGE_FULL, STORAGE_FAILED (also when the name exists); then no object has that name
   */
  put(name: string, content: Uint8Array | AsyncIterable<Uint8Array>): Promise<StoredObject>;
  /**
   * The whole object, length and hash verified.
   * @throws EngineError CHECKPOINT_UNREADABLE when missing, cut or changed; STORAGE_FAILED when it cannot be read
   */
  get(object: StoredObject): Promise<Uint8Array>;
  /**
   * Contents are the reader's to check; a store that has read all of them checks the hash as well, unless it is empty: not known.
   * @throws EngineError CHECKPOINT_UNREADABLE when missing or of another length; STORAGE_FAILED
   */
  openRead(object: StoredObject): Promise<RandomAccessObject>;
  /** Removes an object; one that does not exist is no error. */
  delete(name: string): Promise<void>;
  /** Objects whose name starts with `prefix`, in no order; half-written ones never appear. */
  list(prefix: string): AsyncIterable<ListedObject>;
}

/** Names of files being written start with this; no object may be called so. */
export const temporaryPrefix = '.tmp-';
const segmentBytesMax = 255;
const nameBytesMax = 1024;

/**
 * Refuses a name that could leave the root, hide among temporary files or not be a file name.
 * @throws EngineError STORAGE_FAILED naming the name and the reason
 */
export function checkObjectName(name: string): void {
  const reason = nameProblem(name);
  if (reason === null) return;
  throw new EngineError(
    'STORAGE_FAILED',
    `object name ${JSON.stringify(name.slice(0, 200))} is refused: ${reason}; use a relative name of plain segments separated by "/"`,
    { domain: 'internal' },
  );
}

function nameProblem(name: string): string | null {
  if (name === '') return 'it is empty';
  if (Buffer.byteLength(name) > nameBytesMax) return `it has more than ${nameBytesMax} bytes`;
  if (name.includes('\0')) return 'it contains a NUL character';
  if (name.includes('\\')) return 'it contains a backslash';
  if (name.startsWith('/')) return 'it is absolute';
  for (const segment of name.split('/')) {
    if (segment === '') return 'it has an empty segment';
    if (segment === '.' || segment === '..') return `it has the segment "${segment}"`;
    if (segment.startsWith(temporaryPrefix))
      return `a segment starts with "${temporaryPrefix}", which is kept for files being written`;
    if (Buffer.byteLength(segment) > segmentBytesMax) return `a segment has more than ${segmentBytesMax} bytes`;
  }
  return null;
}
