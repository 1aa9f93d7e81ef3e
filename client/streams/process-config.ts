/** The part of the configs of process operators that says what state they declare. */
import type { Aggregate } from '../../core/aggregate.ts';
import { EngineError } from '../../core/errors.ts';
import type {
  BroadcastProcessFunction,
  CoProcessFunction,
  KeyedBroadcastProcessFunction,
  KeyedCoProcessFunction,
  KeyedProcessFunction,
  ProcessFunction,
} from '../../core/operators.ts';
import type { JsonObject, JsonValue } from '../../core/plain-data.ts';
import type { BroadcastStateDeclarations } from '../../core/state/broadcast-state.ts';
import type { StateDeclaration, StateDeclarations, StateOptions } from '../../core/state/declarations.ts';
import type { OperatorStateDeclarations } from '../../core/state/operator-state.ts';
import { aggregatesConfig } from './aggregates-config.ts';
import { checkDuration, checkFunction, checkId } from './checks.ts';

/** Under these names the runtime keeps the operator's timers. */
const reservedStates: readonly string[] = ['timers-event', 'timers-processing'];
const keyedKinds: ReadonlySet<unknown> = new Set(['value', 'map', 'list', 'reducing', 'aggregating']);

/**
 * `{ states: { name: kind } }`; an aggregating state is `{ kind, aggregate: { kind, ...options } }`. A time to live is not
 * part of it: it may change between two runs.
 * @throws EngineError JOB_INVALID when `onRecord` is missing or a state is not declared as it should be
 */
export function processConfig(process: KeyedProcessFunction<never, never, unknown, StateDeclarations>): JsonObject {
  checkMethods(process, ['onRecord']);
  return { states: statesConfig(process.state ?? {}) };
}

/** As {@link processConfig}, of two keyed streams. */
export function coProcessConfig(
  process: KeyedCoProcessFunction<never, never, never, unknown, StateDeclarations>,
): JsonObject {
  checkMethods(process, ['onFirst', 'onSecond']);
  return { states: statesConfig(process.state ?? {}) };
}

/** `{ states: { name: { kind: 'operator-list', mode } } }` */
export function plainProcessConfig(process: ProcessFunction<never, unknown, OperatorStateDeclarations>): JsonObject {
  checkMethods(process, ['onRecord']);
  refuseTimers(process);
  return { states: operatorStatesConfig(process.state ?? {}) };
}

/** As {@link plainProcessConfig}, of two streams. */
export function plainCoProcessConfig(
  process: CoProcessFunction<never, never, unknown, OperatorStateDeclarations>,
): JsonObject {
  checkMethods(process, ['onFirst', 'onSecond']);
  refuseTimers(process);
  return { states: operatorStatesConfig(process.state ?? {}) };
}

/** `{ states, broadcastStates: { name: 'map' } }` */
export function broadcastProcessConfig(
  process: KeyedBroadcastProcessFunction<never, never, never, unknown, StateDeclarations, BroadcastStateDeclarations>,
): JsonObject {
  checkMethods(process, ['onRecord', 'onBroadcast']);
  const broadcastStates = broadcastStatesConfig(process.broadcastState);
  const states = statesConfig(process.state ?? {});
  for (const name of Object.keys(states)) {
    if (name in broadcastStates)
      throw invalid(`process: '${name}' is both a state and a broadcast state; give one of them another name`);
  }
  return { states, broadcastStates };
}

/** `{ broadcastStates: { name: 'map' } }` */
export function plainBroadcastProcessConfig(
  process: BroadcastProcessFunction<never, never, unknown, BroadcastStateDeclarations>,
): JsonObject {
  checkMethods(process, ['onRecord', 'onBroadcast']);
  refuseTimers(process);
  if ((process as { state?: unknown }).state !== undefined)
    throw invalid(
      'process: beside a broadcast stream a function without key has broadcastState only; use keyBy(...) before connect(...) for state per key',
    );
  return { broadcastStates: broadcastStatesConfig(process.broadcastState) };
}

const invalid = (message: string): EngineError => new EngineError('JOB_INVALID', message);

function checkMethods(process: object, methods: readonly string[]): void {
  if (typeof process !== 'object' || process === null)
    throw invalid(
      `process(...) needs an object with ${methods.map((name) => `${name}(value, context)`).join(' and ')}`,
    );
  for (const name of methods) checkFunction((process as Record<string, unknown>)[name], `process: ${name}`);
}

function refuseTimers(process: object): void {
  if (!('onTimer' in process)) return;
  throw invalid(
    'process: timers belong to a key, and this stream has none: use keyBy(...) before process, or leave out onTimer',
  );
}

function checkStateName(name: string): void {
  checkId(name, 'process: state name');
  if (reservedStates.includes(name))
    throw invalid(`process: state '${name}' has the name of the engine's own timers; choose another`);
}

function statesConfig(declarations: StateDeclarations): JsonObject {
  return Object.fromEntries(
    Object.entries(declarations).map(([name, declaration]) => {
      checkStateName(name);
      if (!keyedKinds.has(declaration?.kind)) throw notDeclared(name, declaration);
      checkOptions(name, declaration.options);
      return [name, stateConfig(name, declaration)] as const;
    }),
  );
}

function notDeclared(name: string, declaration: { readonly kind?: unknown } | undefined): EngineError {
  if (declaration?.kind === 'operator-list')
    return invalid(
      `process: state '${name}' is an operatorListState, which is for streams without key; use listState<T>() here`,
    );
  return invalid(
    `process: state '${name}' is not declared; use valueState<T>(), mapState<K, V>(), listState<T>(), reducingState<T>(...) or aggregatingState(...)`,
  );
}

function stateConfig(name: string, declaration: StateDeclaration): JsonValue {
  if (declaration.kind === 'reducing') checkFunction(declaration.reduce, `reducingState of state '${name}'`);
  if (declaration.kind !== 'aggregating') return declaration.kind;
  const aggregate = declaration.aggregate as Aggregate<never, unknown>;
  return { kind: 'aggregating', aggregate: aggregatesConfig({ [name]: aggregate }, [])[name] as JsonObject };
}

const optionNames: ReadonlySet<string> = new Set(['ttl', 'ttlUpdate', 'time']);

function checkOptions(name: string, options: StateOptions | undefined): void {
  if (options === undefined) return;
  const given: unknown = options;
  if (typeof given !== 'object' || given === null)
    throw invalid(`process: options of state '${name}' are an object, for example { ttl: minutes(10) }`);
  for (const option of Object.keys(given)) {
    if (!optionNames.has(option))
      throw invalid(`process: state '${name}' has no option '${option}'; there are ttl, ttlUpdate and time`);
  }
  const { ttl, ttlUpdate, time } = options;
  if (ttl === undefined) {
    if (ttlUpdate !== undefined || time !== undefined)
      throw invalid(`process: state '${name}' says how its ttl works but has none; add ttl, for example minutes(10)`);
    return;
  }
  checkDuration(ttl, 1, `process: ttl of state '${name}'`);
  checkChoice(ttlUpdate, ['onWrite', 'onRead'], `process: ttlUpdate of state '${name}'`);
  checkChoice(time, ['processing', 'event'], `process: time of state '${name}'`);
}

function checkChoice(value: unknown, choices: readonly string[], what: string): void {
  if (value === undefined || choices.includes(value as string)) return;
  throw invalid(`${what} is ${JSON.stringify(value)}; use ${choices.map((choice) => `'${choice}'`).join(' or ')}`);
}

function operatorStatesConfig(declarations: OperatorStateDeclarations): JsonObject {
  return Object.fromEntries(
    Object.entries(declarations).map(([name, declaration]) => {
      checkStateName(name);
      if (declaration?.kind !== 'operator-list')
        throw invalid(
          `process: state '${name}' of a stream without key is declared with operatorListState<T>(); use keyBy(...) before process for state per key`,
        );
      checkChoice(declaration.mode, ['split', 'union'], `process: mode of state '${name}'`);
      return [name, { kind: 'operator-list', mode: declaration.mode }] as const;
    }),
  );
}

function broadcastStatesConfig(declarations: BroadcastStateDeclarations): JsonObject {
  const given: unknown = declarations;
  if (typeof given !== 'object' || given === null)
    throw invalid(
      'process: beside a broadcast stream the function declares broadcastState: { name: mapState<K, V>() }',
    );
  return Object.fromEntries(
    Object.entries(declarations).map(([name, declaration]) => {
      checkStateName(name);
      if (declaration?.kind !== 'map')
        throw invalid(`process: broadcast state '${name}' is declared with mapState<K, V>(), and nothing else`);
      if (declaration.options?.ttl !== undefined)
        throw invalid(`process: broadcast state '${name}' has a ttl; broadcast state has none, delete entries instead`);
      return [name, 'map'] as const;
    }),
  );
}
