/** What `connect` returns: adds nodes with two inputs. Input 0 is the first or main stream, 1 the second or broadcast one. */
import type {
  FlatMapFunction,
  Key,
  KeySelector,
  MapFunction,
  OperatorFunctions,
  OperatorKind,
} from '../../core/operators.ts';
import { EngineError } from '../../core/errors.ts';
import type { JsonObject } from '../../core/plain-data.ts';
import type { LogicalGraph, LogicalNode, StreamEnd } from '../plan/logical-graph.ts';
import { checkFunction } from './checks.ts';
import type {
  BroadcastConnectedStream,
  ConnectedStream,
  KeyedBroadcastConnectedStream,
  KeyedConnectedStream,
} from './connected-types.ts';
import {
  broadcastProcessConfig,
  coProcessConfig,
  plainBroadcastProcessConfig,
  plainCoProcessConfig,
} from './process-config.ts';
import type { OperatorStream } from './stream-types.ts';

/** Two streams and what makes a stream of a node. */
export interface ConnectedEnds {
  readonly graph: LogicalGraph;
  readonly first: readonly StreamEnd[];
  readonly second: readonly StreamEnd[];
  readonly streamOf: <Out>(node: LogicalNode) => OperatorStream<Out>;
}

type FunctionsOf<Kind extends OperatorKind> = Extract<OperatorFunctions, { kind: Kind }>;
type ConnectedKind =
  | 'co-process'
  | 'plain-co-process'
  | 'co-flat-map'
  | 'broadcast-process'
  | 'plain-broadcast-process';

function addConnected<Kind extends ConnectedKind, Out>(
  { graph, first, second, streamOf }: ConnectedEnds,
  functions: FunctionsOf<Kind>,
  config: JsonObject,
): OperatorStream<Out> {
  const inputs = [...first.map((end) => ({ ...end, input: 0 })), ...second.map((end) => ({ ...end, input: 1 }))];
  return streamOf(
    graph.add({ kind: (functions as OperatorFunctions).kind as ConnectedKind, inputs, functions, config }),
  );
}

interface Keys {
  readonly keyOf: KeySelector<never>;
  readonly keyOfSecond: KeySelector<never>;
}

type AnyFlatMap = FlatMapFunction<never, unknown>;

/** `map` is a `flatMap` of one item; it prints as the user's function, so that its fingerprint changes with the user's code. */
function asFlatMap(map: MapFunction<never, unknown>): AnyFlatMap {
  const flatMap: AnyFlatMap = (value) => [map(value)];
  Object.defineProperty(flatMap, 'toString', { value: () => Function.prototype.toString.call(map) });
  return flatMap;
}

function flatMapOf<Out>(
  ends: ConnectedEnds,
  flatMap: AnyFlatMap,
  flatMapSecond: AnyFlatMap,
  keys: Keys | null,
): OperatorStream<Out> {
  return addConnected(ends, { kind: 'co-flat-map', flatMap, flatMapSecond, ...(keys ?? {}) }, {});
}

class Connected<First, Second> implements ConnectedStream<First, Second> {
  readonly #ends: ConnectedEnds;

  constructor(ends: ConnectedEnds) {
    this.#ends = ends;
  }

  map<Out>(first: MapFunction<First, Out>, second: MapFunction<Second, Out>): OperatorStream<Out> {
    const functions = [first, second].map((map) => asFlatMap(checkFunction(map, 'connect(...).map') as never));
    return flatMapOf(this.#ends, functions[0] as AnyFlatMap, functions[1] as AnyFlatMap, null);
  }

  flatMap<Out>(first: FlatMapFunction<First, Out>, second: FlatMapFunction<Second, Out>): OperatorStream<Out> {
    checkFunction(first, 'connect(...).flatMap');
    checkFunction(second, 'connect(...).flatMap');
    return flatMapOf(this.#ends, first as AnyFlatMap, second as AnyFlatMap, null);
  }

  keyBy<const K extends Key>(
    keyOfFirst: (value: Readonly<First>) => K,
    keyOfSecond: (value: Readonly<Second>) => K,
  ): KeyedConnectedStream<First, Second, K> {
    checkFunction(keyOfFirst, 'connect(...).keyBy');
    checkFunction(keyOfSecond, 'connect(...).keyBy');
    const { first, second } = this.#ends;
    if ([...first, ...second].some((end) => end.partitioner !== 'auto')) {
      throw new EngineError(
        'JOB_INVALID',
        'connect(...).keyBy decides where records go; remove rebalance() or broadcast() before it',
      );
    }
    const ends = { ...this.#ends, first: hashed(first), second: hashed(second) };
    return connectKeyed<First, Second, K>(ends, keyOfFirst, keyOfSecond);
  }

  process<Out>(first: unknown, second?: unknown): OperatorStream<Out> {
    const process = (second ?? first) as FunctionsOf<'plain-co-process'>['process'];
    return addConnected(this.#ends, { kind: 'plain-co-process', process }, plainCoProcessConfig(process));
  }
}

const hashed = (ends: readonly StreamEnd[]): StreamEnd[] => ends.map((end) => ({ ...end, partitioner: 'hash' }));

class KeyedConnected<First, Second, K extends Key> implements KeyedConnectedStream<First, Second, K> {
  readonly #ends: ConnectedEnds;
  readonly #keys: Keys;

  constructor(ends: ConnectedEnds, keys: Keys) {
    this.#ends = ends;
    this.#keys = keys;
  }

  map<Out>(first: MapFunction<First, Out>, second: MapFunction<Second, Out>): OperatorStream<Out> {
    const functions = [first, second].map((map) => asFlatMap(checkFunction(map, 'connect(...).map') as never));
    return flatMapOf(this.#ends, functions[0] as AnyFlatMap, functions[1] as AnyFlatMap, this.#keys);
  }

  flatMap<Out>(first: FlatMapFunction<First, Out>, second: FlatMapFunction<Second, Out>): OperatorStream<Out> {
    checkFunction(first, 'connect(...).flatMap');
    checkFunction(second, 'connect(...).flatMap');
    return flatMapOf(this.#ends, first as AnyFlatMap, second as AnyFlatMap, this.#keys);
  }

  process<Out>(first: unknown, second?: unknown): OperatorStream<Out> {
    const process = (second ?? first) as FunctionsOf<'co-process'>['process'];
    return addConnected(this.#ends, { kind: 'co-process', ...this.#keys, process }, coProcessConfig(process));
  }
}

class BroadcastConnected<Main, Broadcast> implements BroadcastConnectedStream<Main, Broadcast> {
  readonly #ends: ConnectedEnds;

  constructor(ends: ConnectedEnds) {
    this.#ends = ends;
  }

  process<Out>(first: unknown, second?: unknown): OperatorStream<Out> {
    const process = (second ?? first) as FunctionsOf<'plain-broadcast-process'>['process'];
    const config = plainBroadcastProcessConfig(process);
    return addConnected(this.#ends, { kind: 'plain-broadcast-process', process }, config);
  }
}

class KeyedBroadcastConnected<Main, Broadcast, K extends Key>
  implements KeyedBroadcastConnectedStream<Main, Broadcast, K>
{
  readonly #ends: ConnectedEnds;
  readonly #keyOf: KeySelector<never>;

  constructor(ends: ConnectedEnds, keyOf: KeySelector<never>) {
    this.#ends = ends;
    this.#keyOf = keyOf;
  }

  process<Out>(first: unknown, second?: unknown): OperatorStream<Out> {
    const process = (second ?? first) as FunctionsOf<'broadcast-process'>['process'];
    const config = broadcastProcessConfig(process);
    return addConnected(this.#ends, { kind: 'broadcast-process', keyOf: this.#keyOf, process }, config);
  }
}

export function connectStreams<First, Second>(ends: ConnectedEnds): ConnectedStream<First, Second> {
  return new Connected(ends);
}

export function connectKeyed<First, Second, K extends Key>(
  ends: ConnectedEnds,
  keyOf: KeySelector<First, K>,
  keyOfSecond: KeySelector<Second, K>,
): KeyedConnectedStream<First, Second, K> {
  return new KeyedConnected(ends, { keyOf, keyOfSecond });
}

export function connectBroadcast<Main, Broadcast>(ends: ConnectedEnds): BroadcastConnectedStream<Main, Broadcast> {
  return new BroadcastConnected(ends);
}

export function connectKeyedBroadcast<Main, Broadcast, K extends Key>(
  ends: ConnectedEnds,
  keyOf: KeySelector<Main, K>,
): KeyedBroadcastConnectedStream<Main, Broadcast, K> {
  return new KeyedBroadcastConnected(ends, keyOf);
}
