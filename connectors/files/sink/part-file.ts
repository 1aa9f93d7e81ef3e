/** One output file while it is written: what is known of it, and its open handle once the first bytes reach the disk. */
import { createHash } from 'node:crypto';
import type { Hash } from 'node:crypto';
import type { OutputFile } from './file-system.ts';
import type { PartId } from './part-names.ts';

export interface PartFile extends PartId {
  /** Hidden name while it is open. */
  readonly openName: string;
  /** Directory below the output directory it belongs to; empty for that directory itself. */
  readonly partition: string;
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
  readonly partition: string;
  readonly bytes: number;
  readonly records: number;
  readonly sha256: string;
  /** True when a checkpoint may name it as an open file. */
  readonly named: boolean;
}

/** What the committer needs of a file; plain data. */
export interface PartCommittable {
  readonly from: string;
  /** Final name, below the output directory; with a slash when it goes to a partition. */
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
  /** The files that go on over the checkpoint, with their durable lengths. */
  readonly open: readonly OpenPartState[];
}

/** A file that goes on over a checkpoint; plain data. */
export interface OpenPartState extends PartId {
  readonly partition: string;
  readonly name: string;
  readonly bytes: number;
  readonly records: number;
}

export interface NewPart extends PartId {
  readonly partition: string;
  readonly openName: string;
  readonly startedMs: number;
}

export function newPart(part: NewPart): PartFile {
  return { ...part, hash: createHash('sha256'), bytes: 0, records: 0, handle: null, named: false };
}
