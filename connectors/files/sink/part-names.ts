/**
 * Names of the files in an output directory. A file goes through three names:
 *
 *     .<owner>-<subtask>-<sequence>-<attempt>.open       being written by that attempt
 *     .<owner>-<subtask>-<sequence>-<attempt>.prepared   complete and durable, waits for its checkpoint
 *     part-<subtask>-<sequence>.<extension>              committed, in the directory of its partition if it has one
 *
 * The owner is a hash of job and operator: a sink never touches hidden files of another. The attempt keeps two tries apart that
 * write the same part; the final name lacks it, so a part is the same file whichever try wrote it.
 */
import { createHash } from 'node:crypto';

export interface PartId {
  readonly subtaskIndex: number;
  readonly sequence: number;
}

export type HiddenStage = 'open' | 'prepared';

export interface HiddenPart extends PartId {
  readonly attempt: number;
  readonly stage: HiddenStage;
}

/** Ten hex digits that stand for one sink of one job. */
export function ownerTag(jobName: string, operatorId: string): string {
  return createHash('sha256').update(`${jobName}\0${operatorId}`).digest('hex').slice(0, 10);
}

export function finalName(part: PartId & { readonly partition: string }, extension: string): string {
  const name = `part-${part.subtaskIndex}-${part.sequence}.${extension}`;
  return part.partition === '' ? name : `${part.partition}/${name}`;
}

export function hiddenName(owner: string, part: HiddenPart): string {
  return `.${owner}-${part.subtaskIndex}-${part.sequence}-${part.attempt}.${part.stage}`;
}

const hiddenPattern = /^\.([0-9a-f]{10})-(\d+)-(\d+)-(\d+)\.(open|prepared)$/;

/** The parts of a hidden name of this owner; null for any other name. */
export function parseHiddenName(owner: string, name: string): HiddenPart | null {
  const match = hiddenPattern.exec(name);
  if (match === null || match[1] !== owner) return null;
  const [, , subtaskIndex, sequence, attempt, stage] = match;
  return {
    subtaskIndex: Number(subtaskIndex),
    sequence: Number(sequence),
    attempt: Number(attempt),
    stage: stage as HiddenStage,
  };
}
