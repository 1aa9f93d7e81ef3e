/**
 * Names and types that appear nowhere else in a job: tags of side outputs, the output type of a process function, and
 * what a failed record looks like on a side output.
 */
import { EngineError } from '../../core/errors.ts';
import type { OnError, OutputTag } from '../../core/operators.ts';
import { lateSecondTag, lateTag } from '../plan/logical-graph.ts';

/** Carries a type and nothing else; see {@link emits}. */
export interface RecordType<T> {
  readonly type: 'record-type';
  readonly recordType?: T;
}

/** Says what a process function emits: `keyed.process(emits<Alert>(), { onRecord(value, context) { ... } })`. */
export const emits = <T>(): RecordType<T> => ({ type: 'record-type' });

const tagPattern = /^[A-Za-z][A-Za-z0-9._-]{0,99}$/;

/**
 * Names a side output and carries the type of its records.
 * @throws EngineError JOB_INVALID when the name is not 1..100 letters, digits, `.`, `_`, `-` or is `late` or
 * `late-second`
 */
export function outputTag<T>(tag: string): OutputTag<T> {
  if (tag === lateTag || tag === lateSecondTag) {
    throw new EngineError('JOB_INVALID', `output tag '${tag}' is reserved for late records; choose another name`);
  }
  if (!tagPattern.test(tag)) {
    throw new EngineError(
      'JOB_INVALID',
      `output tag '${tag}' is not a name; use a letter followed by letters, digits, '.', '_' or '-', at most 100`,
    );
  }
  return Object.freeze({ tag });
}

/** For `.onError(sideOutput(tag))`: failed records go to the side output `tag`. */
export const sideOutput = <T>(tag: OutputTag<FailedRecord<T>>): OnError => ({ sideOutput: tag.tag });

/** A record whose function threw, as it arrives on the side output given to `onError`. */
export interface FailedRecord<T = unknown> {
  /** The record as the operator was given it. */
  readonly record: T;
  /** Message of what was thrown. */
  readonly message: string;
  readonly stack: string;
  /** Id of the operator whose function threw. */
  readonly operator: string;
}
