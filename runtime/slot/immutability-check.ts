/**
 * Finds user code that changes a value after it was handed on. Between chained operators and between subtasks of a slot
 * values travel by reference, so a changed one corrupts another consumer, a batch or state, and differently on a cluster,
 * where it would have been encoded before. User functions are given `Readonly<T>`; this checks it for the first records
 * of each operator and edge: a value is encoded when it is emitted, when an operator gets it and after that operator is
 * done with it.
 *
 * Costs nothing after the first records: the watched `emit` is an own property of the object that hides the method of its
 * class, and is deleted.
 */
import { hashBytes } from '../../core/codec/key-hash.ts';
import { encodeValueToBytes } from '../../core/codec/value-codec.ts';
import { EngineError } from '../../core/errors.ts';
import type { OperatorKind } from '../../core/operators.ts';
import type { Collector } from '../operators/operator.ts';

/** Records looked at per operator and per edge. */
export const checkedRecordsMax = 64;

/** Operators that run no code of a job's author on records. */
const withoutUserCode: ReadonlySet<OperatorKind> = new Set<OperatorKind>([
  'source-planner',
  'source-reader',
  'changes',
  'sink-writer',
  'sink-committer',
]);

interface Seen {
  readonly fingerprint: number;
  /** Operator that emitted the value last; null when it came from another slot. */
  readonly emittedBy: string | null;
}

type Emit = (value: unknown) => void;
/** An operator has `emitSecond` when its second input brings records. */
type Input = 'emit' | 'emitSecond';
type Watched = Partial<Record<Input, Emit>>;

/** One per slot: a value is recognised in whichever subtask it turns up. */
export class ImmutabilityCheck {
  readonly #seen = new WeakMap<object, Seen>();

  /** Watches what an operator does with its input. */
  watchOperator(operator: Collector, kind: OperatorKind, operatorId: string, fail: (error: EngineError) => void): void {
    if (withoutUserCode.has(kind)) return;
    for (const input of ['emit', 'emitSecond'] as const) {
      watch(operator, input, (value, emit) => {
        const before = this.#look(value, null, fail);
        emit(value);
        if (before !== null && fingerprintOf(value) !== before) fail(changedInput(operatorId));
      });
    }
  }

  /** Watches what an operator emits into an edge. */
  watchOutput(writer: Collector, kind: OperatorKind, operatorId: string, fail: (error: EngineError) => void): void {
    if (withoutUserCode.has(kind)) return;
    watch(writer, 'emit', (value, emit) => {
      this.#look(value, operatorId, fail);
      emit(value);
    });
  }

  /** Compares a value with what it was when it was last seen, and remembers it; null when it cannot change or be compared. */
  #look(value: unknown, emittedBy: string | null, fail: (error: EngineError) => void): number | null {
    if (typeof value !== 'object' || value === null) return null;
    const fingerprint = fingerprintOf(value);
    const seen = this.#seen.get(value);
    if (seen !== undefined && seen.fingerprint !== fingerprint) fail(changedLater(emittedBy ?? seen.emittedBy));
    if (fingerprint !== null) this.#seen.set(value, { fingerprint, emittedBy: emittedBy ?? seen?.emittedBy ?? null });
    return fingerprint;
  }
}

function watch(collector: Collector, input: Input, look: (value: unknown, emit: Emit) => void): void {
  const watched = collector as Watched;
  const method = watched[input];
  if (method === undefined) return;
  // Another watcher may have put its own in front of the method.
  const own = Object.hasOwn(collector, input) ? method : undefined;
  const emit = method.bind(collector);
  let left = checkedRecordsMax;
  watched[input] = (value) => {
    left--;
    if (left === 0 && own !== undefined) watched[input] = own;
    else if (left === 0) delete watched[input];
    look(value, emit);
  };
}

/** Null for a value that the stored-value codec refuses: it is not looked at. */
function fingerprintOf(value: unknown): number | null {
  try {
    const bytes = encodeValueToBytes(value);
    return hashBytes(bytes, 0, bytes.length);
  } catch {
    return null;
  }
}

function changedInput(operatorId: string): EngineError {
  return new EngineError(
    'USER_FUNCTION_FAILED',
    `the function of operator '${operatorId}' changed the record it was given; others see the same object: return a new one, such as { ...record, field }`,
    { ids: { operator: operatorId } },
  );
}

function changedLater(operatorId: string | null): EngineError {
  const who = operatorId === null ? 'an operator' : `operator '${operatorId}'`;
  return new EngineError(
    'USER_FUNCTION_FAILED',
    `${who} emitted an object and changed it afterwards, while others still read it: emit a new object each time, such as { ...record }`,
    { ids: operatorId === null ? {} : { operator: operatorId } },
  );
}
