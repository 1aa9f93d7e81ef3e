/**
 * From what an author says of a window to the functions and config of its operator: defaults, checks, and count windows,
 * which are a global window with a trigger and perhaps an evictor.
 */
import type { AggregateSet } from '../../core/aggregate.ts';
import { EngineError } from '../../core/errors.ts';
import type { KeySelector, ReduceFunction } from '../../core/operators.ts';
import type { JsonObject } from '../../core/plain-data.ts';
import type { StateDeclarations } from '../../core/state/declarations.ts';
import type {
  CoGroupFunction,
  WindowEvictor,
  WindowFunction,
  WindowInfo,
  WindowJoinType,
  WindowTrigger,
} from '../../core/window-functions.ts';
import type { WindowDefinition } from '../../core/windows.ts';
import { countEvictor } from '../windows/evictors.ts';
import { countTrigger, eventTimeTrigger, processingTimeTrigger, purging } from '../windows/triggers.ts';
import { aggregatesConfig } from './aggregates-config.ts';
import type { NodeParts } from './build-site.ts';
import { checkFunction, checkId } from './checks.ts';
import { checkLateness } from './window-checks.ts';
import { checkKeptWindows, checkWindow, windowConfig } from './windows.ts';

type AnyWindowFunction = WindowFunction<never, never, unknown, StateDeclarations, StateDeclarations>;
type ResultOf = (contents: never, context: WindowInfo<never>) => unknown;

/** What is said between `window(...)` and the call that makes the operator. */
export interface WindowSettings {
  readonly window: WindowDefinition<never>;
  readonly allowedLatenessMs: number;
  readonly trigger: WindowTrigger<never> | null;
  readonly evictor: WindowEvictor<never> | null;
}

/** What a window keeps, and what is made of it. */
export interface WindowBody {
  readonly reduce?: ReduceFunction<never>;
  readonly aggregates?: AggregateSet<never>;
  readonly windowFunction?: AnyWindowFunction;
  readonly resultOf?: ResultOf;
}

/** True when the windows of the fast path can do it: aggregates and nothing else. */
export function isIncremental(settings: WindowSettings, body: WindowBody): boolean {
  const { trigger, evictor, window } = settings;
  const plain = trigger === null && evictor === null && window.kind !== 'global';
  return plain && body.aggregates !== undefined && body.windowFunction === undefined && body.resultOf === undefined;
}

/** The body of `process(out?, function)`, `reduce(reduce, ...)` and `aggregate(set, ...)` from their trailing arguments. */
export function trailingFunction(what: string, first: unknown, second: unknown): WindowBody {
  if (first === undefined && second === undefined) return {};
  if (typeof first === 'function') return { resultOf: first as ResultOf };
  return { windowFunction: checkWindowFunction(what, second ?? first) };
}

export function checkTrigger<T>(trigger: T): T {
  const { onElement } = (trigger ?? {}) as { onElement?: unknown };
  if (typeof onElement === 'function') return trigger;
  throw invalid(
    'trigger(...) needs a trigger, for example countTrigger(100), or an object with onElement(value, context)',
  );
}

export function checkEvictor<T>(evictor: T): T {
  const { evictBefore, evictAfter } = (evictor ?? {}) as { evictBefore?: unknown; evictAfter?: unknown };
  if (typeof evictBefore === 'function' || typeof evictAfter === 'function') return evictor;
  throw invalid(
    'evictor(...) needs an evictor, for example countEvictor(10), or an object with evictBefore or evictAfter',
  );
}

/** @throws EngineError JOB_INVALID when the parts do not go together */
export function planWindow(keyOf: KeySelector<never>, settings: WindowSettings, body: WindowBody): NodeParts {
  const { window, allowedLatenessMs } = settings;
  checkKeptWindows(window);
  const { trigger, evictor } = completed(settings);
  checkMergeable(window, trigger);
  const { reduce = null, aggregates = null, windowFunction = null, resultOf = null } = body;
  if (windowFunction?.windowState !== undefined && window.kind === 'session') {
    throw invalid(
      'window function: windowState on session windows, which become one with others; use state (per key), or process the records',
    );
  }
  const config: JsonObject = {
    window: windowConfig(window),
    allowedLatenessMs,
    trigger: triggerConfig(trigger),
    evictor: evictor === null ? null : { ...evictor.options, kind: evictor.kind ?? 'custom' },
    contents: reduce !== null ? 'reduce' : aggregates !== null ? 'aggregate' : 'records',
    ...(aggregates === null ? {} : { aggregates: aggregatesConfig(aggregates, ['key', 'windowStart', 'windowEnd']) }),
    states: stateKinds(windowFunction?.state, 'window function: state'),
    windowStates: stateKinds(windowFunction?.windowState, 'window function: windowState'),
  };
  const functions = {
    kind: 'window',
    keyOf,
    window,
    trigger,
    evictor,
    reduce,
    aggregates,
    windowFunction,
    resultOf,
  } as const;
  return { functions, config };
}

export interface CoGroupBody {
  readonly coGroup: CoGroupFunction<never, never, never, unknown> | null;
  readonly join: ((first: never, second: never) => unknown) | null;
  readonly type: WindowJoinType | null;
  readonly allowedLateness: number | undefined;
  readonly trigger: WindowTrigger<never> | undefined;
}

const joinTypes: readonly unknown[] = ['inner', 'left', 'right', 'full'];

/** @throws EngineError JOB_INVALID when the parts do not go together */
export function planCoGroup(
  keyOf: KeySelector<never>,
  keyOfSecond: KeySelector<never>,
  definition: WindowDefinition<never>,
  body: CoGroupBody,
): NodeParts {
  const { coGroup, join, type } = body;
  const what = join === null ? 'coGroup' : 'windowJoin';
  checkFunction(coGroup ?? join, what);
  if (type !== null && !joinTypes.includes(type))
    throw invalid(`windowJoin: type is ${JSON.stringify(type)}; use 'inner', 'left', 'right' or 'full'`);
  const window = checkWindow(definition);
  checkKeptWindows(window);
  if (window.kind === 'count') {
    throw invalid(
      `${what}: a count window counts the records of one stream; use a window of time, or globalWindow() with a trigger`,
    );
  }
  const allowedLatenessMs = checkLateness(window, body.allowedLateness ?? 0);
  const given = body.trigger === undefined ? null : checkTrigger(body.trigger);
  const { trigger } = completed({ window, allowedLatenessMs, trigger: given, evictor: null });
  checkMergeable(window, trigger);
  const config: JsonObject = {
    window: windowConfig(window),
    allowedLatenessMs,
    trigger: triggerConfig(trigger),
    ...(type === null ? {} : { type }),
  };
  const functions = { kind: 'window-co-group', keyOf, keyOfSecond, window, trigger, coGroup, join } as const;
  return { functions, config };
}

/** Trigger and evictor as they run: defaults filled in. */
function completed(settings: WindowSettings): Pick<WindowSettings, 'evictor'> & { trigger: WindowTrigger<never> } {
  const { window, trigger, evictor } = settings;
  if (window.kind === 'count') {
    if (trigger !== null || evictor !== null) {
      throw invalid(
        `count window: it has a trigger${window.slide < window.size ? ' and an evictor' : ''} of its own; use globalWindow() with yours`,
      );
    }
    if (window.slide === window.size) return { trigger: purging(countTrigger(window.size)) as never, evictor: null };
    return { trigger: countTrigger(window.slide) as never, evictor: countEvictor<never>(window.size) };
  }
  if (trigger !== null) return { trigger, evictor };
  if (window.kind === 'global') {
    throw invalid(
      'globalWindow() never ends, so it needs a trigger: .trigger(countTrigger(100)), or purging(countTrigger(100)) so that it does not grow for ever',
    );
  }
  return { trigger: (window.time === 'event' ? eventTimeTrigger() : processingTimeTrigger()) as never, evictor };
}

function checkMergeable(window: WindowDefinition<never>, trigger: WindowTrigger<never>): void {
  if (window.kind !== 'session' || typeof trigger.onMerge === 'function') return;
  throw invalid(
    `session windows become one when they touch, and the trigger '${trigger.kind ?? 'custom'}' has no onMerge(context) that takes over its state; give it one or use another`,
  );
}

function checkWindowFunction(what: string, windowFunction: unknown): AnyWindowFunction {
  const { onWindow } = (windowFunction ?? {}) as { onWindow?: unknown };
  if (typeof onWindow === 'function') return windowFunction as AnyWindowFunction;
  throw invalid(`${what} needs an object with onWindow(contents, context)`);
}

function triggerConfig(trigger: WindowTrigger<never>): JsonObject {
  return { ...trigger.options, kind: trigger.kind ?? 'custom', states: stateKinds(trigger.state, 'trigger: state') };
}

function stateKinds(declarations: StateDeclarations | undefined, what: string): JsonObject {
  const entries = Object.entries(declarations ?? {}).map(([name, declaration]) => {
    checkId(name, `${what} name`);
    const kind: unknown = declaration?.kind;
    if (typeof kind === 'string') return [name, kind] as const;
    throw invalid(`${what} '${name}' is not declared; use valueState<T>() or mapState<K, V>()`);
  });
  return Object.fromEntries(entries);
}

function invalid(message: string): EngineError {
  return new EngineError('JOB_INVALID', message);
}
