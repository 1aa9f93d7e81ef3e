/**
 * Puts a watch around every user function of a job. A function is deterministic when what it does next depends only on what it
 * was given and has read so far: each call is followed as a chain of reads (state, key, clock of the context) and actions
 * (emit, update, set a timer, return), and where the same chain once went on differently, that function is at fault. What is
 * beside the point is left alone: values are passed on as they are, `this` stays the author's object.
 */
import { inspect } from 'node:util';
import type { OperatorFunctions } from '../../../core/operators.ts';
import { type OutsideKind, type UserFrame, userFrames } from './outside-calls.ts';

/** A function did something else than before, in the same circumstances. */
export interface FunctionDeviation {
  readonly operatorId: string;
  /** The member of the operator that was called, for example `map` or `process.onRecord`. */
  readonly member: string;
  readonly record: unknown;
  readonly before: string;
  readonly now: string;
  readonly notes: ReadonlyMap<string, OutsideKind>;
}

/** What was seen of the functions of one job, over several runs. */
export class FunctionRecord {
  readonly deviations: FunctionDeviation[] = [];
  /** By operator: what of the context its results may depend on. */
  readonly contextReads = new Map<string, Set<'processing time' | 'watermark'>>();
  readonly #next = new Map<string, string>();

  /** The step after `chain`; a deviation is noted once a call. */
  step(call: ObservedCall, what: string): void {
    const known = this.#next.get(call.chain);
    if (known === undefined) this.#next.set(call.chain, what);
    else if (known !== what && !call.deviated) {
      call.deviated = true;
      const { frame, member, record } = call;
      this.deviations.push({
        operatorId: frame.operatorId,
        member,
        record,
        before: known,
        now: what,
        notes: frame.notes,
      });
    }
    call.chain = chained(call.chain, what);
  }

  contextRead(operatorId: string, name: string): void {
    const what = /processing/i.test(name) ? 'processing time' : name === 'watermark' ? 'watermark' : null;
    if (what === null) return;
    const reads = this.contextReads.get(operatorId) ?? new Set();
    this.contextReads.set(operatorId, reads.add(what));
  }
}

interface ObservedCall {
  readonly frame: UserFrame;
  readonly member: string;
  readonly record: unknown;
  chain: string;
  deviated: boolean;
}

/** What the watch is told, and whom it asks. */
export interface FunctionWatch {
  /** Null: only what is called outside is noted. */
  readonly record: FunctionRecord | null;
  clockMs(): number;
  onOutside(operatorId: string, call: string, kind: OutsideKind): void;
}

type Callable = (...parameters: unknown[]) => unknown;

/** The functions of an operator, watched. Connectors are the engine's business. */
export function watchedFunctions(
  operatorId: string,
  functions: OperatorFunctions,
  watch: FunctionWatch,
): OperatorFunctions {
  if (functions.kind.startsWith('source-') || functions.kind.startsWith('sink-')) return functions;
  const entries = Object.entries(functions).map(([name, value]) => [name, watched(operatorId, name, value, watch)]);
  return Object.fromEntries(entries) as OperatorFunctions;
}

/** Objects in objects that are looked at for functions. */
const depthMax = 4;

function watched(operatorId: string, member: string, value: unknown, watch: FunctionWatch, depth = 0): unknown {
  if (typeof value === 'function') return watchedFunction(operatorId, member, value as Callable, null, watch);
  if (typeof value !== 'object' || value === null || depth > depthMax || !holdsFunctions(value)) return value;
  if (Array.isArray(value)) return value.map((item) => watched(operatorId, member, item, watch, depth + 1));
  const members = new Map<PropertyKey, unknown>();
  // The target is empty, so that frozen objects may be shown with other members than they have.
  return new Proxy(
    {},
    {
      get: (_, name) => {
        if (members.has(name)) return members.get(name);
        const own: unknown = Reflect.get(value, name, value);
        const path = `${member}.${String(name)}`;
        const seen =
          typeof own === 'function'
            ? isLifecycle(name)
              ? own.bind(value)
              : watchedFunction(operatorId, path, own as Callable, value, watch)
            : watched(operatorId, path, own, watch, depth + 1);
        members.set(name, seen);
        return seen;
      },
      has: (_, name) => name in value,
      ownKeys: () => Reflect.ownKeys(value),
      getOwnPropertyDescriptor: (_, name) => {
        const own = Reflect.getOwnPropertyDescriptor(value, name);
        return own === undefined ? undefined : { ...own, configurable: true };
      },
      getPrototypeOf: () => Reflect.getPrototypeOf(value),
    },
  );
}

/** Called once an attempt, for connections and caches: may look outside. */
const isLifecycle = (name: PropertyKey): boolean => name === 'open' || name === 'close';

function holdsFunctions(value: object, depth = 0): boolean {
  if (depth > depthMax) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  const isPlain = prototype === Object.prototype || prototype === null || Array.isArray(value);
  if (!isPlain)
    return !ArrayBuffer.isView(value) && !(value instanceof Date) && !(value instanceof Map) && !(value instanceof Set);
  return Object.values(value).some(
    (member) =>
      typeof member === 'function' ||
      (typeof member === 'object' && member !== null && holdsFunctions(member, depth + 1)),
  );
}

function watchedFunction(
  operatorId: string,
  member: string,
  call: Callable,
  self: unknown,
  watch: FunctionWatch,
): Callable {
  return function (this: unknown, ...parameters: unknown[]): unknown {
    const notes = new Map<string, OutsideKind>();
    const frame: UserFrame = {
      operatorId,
      notes,
      note: (what, kind) => {
        notes.set(what, kind);
        watch.onOutside(operatorId, what, kind);
      },
      clockMs: () => watch.clockMs(),
    };
    const receiver = self ?? this;
    const { record } = watch;
    if (record === null)
      return around(
        userFrames.run(frame, () => Reflect.apply(call, receiver, parameters)),
        frame,
      );
    const isContext = parameters.map((parameter) => isCallable(parameter));
    const given = parameters.map((parameter, index) => (isContext[index] ? '' : givenText(parameter))).join('\n');
    const observed: ObservedCall = {
      frame,
      member,
      record: parameters[0],
      chain: chained(`${operatorId} ${member}`, given),
      deviated: false,
    };
    const shown = parameters.map((parameter, index) =>
      isContext[index] ? observedContext(parameter as object, '', observed, record) : parameter,
    );
    const result = userFrames.run(frame, () => Reflect.apply(call, receiver, shown));
    return observedResult(result, observed, record);
  };
}

/** Items of a generator are made outside of the call. */
function around(result: unknown, frame: UserFrame): unknown {
  if (!isGenerator(result)) return result;
  return itemsOf(result, frame, () => {});
}

function observedResult(result: unknown, call: ObservedCall, record: FunctionRecord): unknown {
  if (isGenerator(result)) return itemsOf(result, call.frame, (item) => record.step(call, `yields ${textOf(item)}`));
  if (result instanceof Promise)
    return result.then((value: unknown) => {
      record.step(call, `resolves with ${textOf(value)}`);
      return value;
    });
  record.step(call, `returns ${textOf(result)}`);
  return result;
}

function* itemsOf(items: Iterator<unknown>, frame: UserFrame, onItem: (item: unknown) => void): Generator<unknown> {
  try {
    for (;;) {
      const { done, value } = userFrames.run(frame, () => items.next());
      if (done === true) return;
      onItem(value);
      yield value;
    }
  } finally {
    items.return?.();
  }
}

/** A context whose reads and calls become steps of the chain. */
function observedContext(target: object, path: string, call: ObservedCall, record: FunctionRecord): object {
  return new Proxy(
    {},
    {
      get: (_, name) => {
        const value: unknown = Reflect.get(target, name, target);
        const what = path === '' ? String(name) : `${path}.${String(name)}`;
        if (typeof name === 'string') record.contextRead(call.frame.operatorId, name);
        if (typeof value === 'function') return observedMethod(value as Callable, target, what, call, record);
        if (isCallable(value)) return observedContext(value as object, what, call, record);
        call.chain = chained(call.chain, `${what} is ${textOf(value)}`);
        return value;
      },
      has: (_, name) => name in target,
    },
  );
}

function observedMethod(method: Callable, self: object, what: string, call: ObservedCall, record: FunctionRecord) {
  return (...parameters: unknown[]): unknown => {
    record.step(call, `${what}(${parameters.map(textOf).join(', ')})`);
    const result: unknown = Reflect.apply(method, self, parameters);
    if (isCallable(result)) return observedContext(result as object, what, call, record);
    call.chain = chained(call.chain, `gave ${textOf(result)}`);
    return result;
  };
}

const isCallable = (value: unknown): boolean =>
  typeof value === 'object' && value !== null && (holdsFunctions(value) || Symbol.iterator in value) && !isData(value);

/** Arrays, bytes, dates, maps, sets and errors (of `retry.if`) are data whatever they can do. */
function isData(value: object): boolean {
  const plainArray = Array.isArray(value) && !holdsFunctions(value);
  return (
    plainArray ||
    ArrayBuffer.isView(value) ||
    value instanceof Date ||
    value instanceof Map ||
    value instanceof Set ||
    value instanceof Error
  );
}

function isGenerator(value: unknown): value is Iterator<unknown> {
  return typeof value === 'object' && value !== null && Symbol.iterator in value && 'next' in value;
}

/** The stack of an error has frames of the engine, which differ with the schedule. */
const givenText = (value: unknown): string => (value instanceof Error ? String(value) : textOf(value));

/** A `FailedRecord`, by its members. */
function isFailedRecord(value: object): value is { readonly record: unknown; readonly stack: string } {
  return 'stack' in value && 'record' in value && 'message' in value && 'operator' in value;
}

/** The value with failed records that have no stack: its paths, lines and frames of the engine differ with the schedule. */
function withoutStacks(value: unknown, depth = 0): unknown {
  if (typeof value !== 'object' || value === null || depth > depthMax) return value;
  if (isFailedRecord(value)) return { ...value, record: withoutStacks(value.record, depth + 1), stack: '' };
  const prototype: unknown = Object.getPrototypeOf(value);
  if (!Array.isArray(value) && prototype !== Object.prototype && prototype !== null) return value;
  const members = Object.entries(value).map(
    ([name, member]) => [name, member, withoutStacks(member, depth + 1)] as const,
  );
  const changed = members.filter(([, member, seen]) => member !== seen);
  if (changed.length === 0) return value;
  const seen = Object.fromEntries(changed.map(([name, , other]) => [name, other]));
  return Array.isArray(value) ? Object.assign([...value], seen) : { ...value, ...seen };
}

/** A value as text: equal texts, equal values. Stacks of failed records are left out. */
export function textOf(value: unknown): string {
  return inspect(withoutStacks(value), {
    depth: 20,
    maxArrayLength: 10_000,
    maxStringLength: 100_000,
    breakLength: Number.POSITIVE_INFINITY,
    sorted: true,
  });
}

/** 106 bits of a chain and its next step. @see cyrb53, twice */
function chained(chain: string, step: string): string {
  let first = 0xdeadbeef;
  let second = 0x41c6ce57;
  for (const text of [chain, '\u0000', step]) {
    for (let index = 0; index < text.length; index++) {
      const code = text.charCodeAt(index);
      first = Math.imul(first ^ code, 2654435761);
      second = Math.imul(second ^ code, 1597334677);
    }
  }
  first = Math.imul(first ^ (first >>> 16), 2246822507) ^ Math.imul(second ^ (second >>> 13), 3266489909);
  second = Math.imul(second ^ (second >>> 16), 2246822507) ^ Math.imul(first ^ (first >>> 13), 3266489909);
  return `${first >>> 0}.${second >>> 0}`;
}
