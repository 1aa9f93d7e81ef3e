/** What a window function is given with each call; one object per operator, set before each call. */
import type { Key } from '../../../../core/operators.ts';
import type { StateDeclarations, StateHandles } from '../../../../core/state/declarations.ts';
import type { WindowBounds, WindowContext, WindowInfo } from '../../../../core/window-functions.ts';
import type { AnyOperatorContext } from '../../operator.ts';
import type { CallGate } from '../../call-gate.ts';
import { EmittingCall } from '../../emitting-call.ts';
import type { ScopedState } from './window-state.ts';

/** What of a window is known when it fires, as an object of its own: a generator may look at it later. */
export function windowInfo(
  context: AnyOperatorContext,
  watermark: number,
  key: Key,
  window: WindowBounds,
): WindowInfo<Key> {
  return { key, window, timestamp: context.scope.timestamp, watermark, processingTimeMs: context.nowMs() };
}

export class FunctionCall
  extends EmittingCall
  implements WindowContext<Key, unknown, StateDeclarations, StateDeclarations>
{
  key: Key = 0;
  window: WindowBounds = { start: 0, end: 0 };
  watermark = Number.NEGATIVE_INFINITY;
  timestamp = Number.NaN;
  readonly gate: CallGate;
  readonly #context: AnyOperatorContext;
  readonly #state: ScopedState;
  readonly #windowState: ScopedState;

  constructor(context: AnyOperatorContext, gate: CallGate, state: ScopedState, windowState: ScopedState) {
    super(context, gate);
    this.#context = context;
    this.gate = gate;
    this.#state = state;
    this.#windowState = windowState;
  }

  enter(key: Key, start: number, end: number, watermark: number): void {
    this.key = key;
    this.window = { start, end };
    this.watermark = watermark;
    this.timestamp = this.#context.scope.timestamp;
    this.#state.scopeTo(key);
    this.#windowState.scopeTo([key, start, end]);
    this.gate.enter();
  }

  /** The function has returned. */
  leave(): void {
    this.gate.leave();
  }

  get state(): StateHandles<StateDeclarations> {
    this.gate.check('state');
    return this.#state.handles;
  }

  get windowState(): StateHandles<StateDeclarations> {
    this.gate.check('windowState');
    return this.#windowState.handles;
  }
}
