/** What the contexts of all process and window functions have in common: emitting, guarded by the gate of the call. */
import type { OutputTag } from '../../core/operators.ts';
import type { CallGate } from './call-gate.ts';
import type { AnyOperatorContext } from './operator.ts';

export class EmittingCall {
  readonly #context: AnyOperatorContext;
  readonly #gate: CallGate;

  constructor(context: AnyOperatorContext, gate: CallGate) {
    this.#context = context;
    this.#gate = gate;
  }

  get processingTimeMs(): number {
    return this.#context.nowMs();
  }

  // Fields, so that functions may take them out of the context (`({ emit }) => ...`).
  readonly emit = (value: unknown): void => {
    this.#gate.emits('emit');
    this.#context.output.emit(value);
  };
  readonly output = <T>(tag: OutputTag<T>, value: T): void => {
    this.#gate.emits('output');
    this.#context.sideOutput(tag.tag).emit(value);
  };
}

/** The context of a call that is about a record or a timer. */
export class RecordCall extends EmittingCall {
  timestamp = Number.NaN;
  watermark = Number.NEGATIVE_INFINITY;
  readonly #scope: AnyOperatorContext['scope'];

  constructor(context: AnyOperatorContext, gate: CallGate) {
    super(context, gate);
    this.#scope = context.scope;
  }

  get isLate(): boolean {
    return !Number.isNaN(this.#scope.splitWatermark);
  }
}
