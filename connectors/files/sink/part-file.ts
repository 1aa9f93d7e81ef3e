/** One output file while it is written: what is known of it, and its open handle once the first bytes reach the disk. */
import { createHash } from 'node:crypto';
import type { Hash } from 'node:crypto';
import type { OutputFile } from './file-system.ts';
import type { PartId } from './part-names.ts';

export interface PartFile extends PartId {
  /** Hidden name while it is open. */
  readonly openName: string;
  readonly startedMs: number;
  readonly hash: Hash;
  /** Bytes handed over for writing. */
  bytes: number;
  records: number;
  handle: OutputFile | null;
  /** True once a checkpoint may name it: then it outlives the writer. */
  named: boolean;
}

/** A file that is complete and durable under its prepared name. */
export interface SealedPart extends PartId {
  readonly preparedName: string;
  readonly bytes: number;
  readonly records: number;
  readonly sha256: string;
  /** True when a checkpoint may name it as an open file. */
  readonly named: boolean;
}

/** What the committer needs of a file; plain data. */
export interface PartCommittable {
  readonly from: string;
  readonly to: string;
  readonly bytes: number;
  readonly sha256: string;
  readonly records: number;
  readonly attempt: number;
}

/** State of a writer in a checkpoint; plain data. */
export interface WriterState {
  readonly subtaskIndex: number;
  /** First sequence number no file of this writer has; the same or higher for every later writer. */
  readonly nextSequence: number;
  /** The file that goes on over the checkpoint, with its durable length. */
  readonly open: (PartId & { readonly name: string; readonly bytes: number; readonly records: number }) | null;
}

export function newPart(part: PartId, openName: string, startedMs: number): PartFile {
  return { ...part, openName, startedMs, hash: createHash('sha256'), bytes: 0, records: 0, handle: null, named: false };
}
