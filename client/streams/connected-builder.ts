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
import type { StreamEnd } from '../plan/logical-graph.ts';
import { addStream, type BuildSite } from './build-site.ts';
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

type FunctionsOf<Kind extends OperatorKind> = Extract<OperatorFunctions, { kind: Kind }>;
type ConnectedKind =
  | 'co-process'
  | 'plain-co-process'
  | 'co-flat-map'
  | 'broadcast-process'
  | 'plain-broadcast-process';

function addConnected<Kind extends ConnectedKind, Out>(
  site: BuildSite,
  functions: FunctionsOf<Kind>,
  config: JsonObject,
): OperatorStream<Out> {
  return addStream<Out, never>(site, { functions, config });
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
  site: BuildSite,
  flatMap: AnyFlatMap,
  flatMapSecond: AnyFlatMap,
  keys: Keys | null,
): OperatorStream<Out> {
  return addConnected(site, { kind: 'co-flat-map', flatMap, flatMapSecond, ...(keys ?? {}) }, {});
}

class Connected<First, Second> implements ConnectedStream<First, Second> {
  readonly #site: BuildSite;

  constructor(site: BuildSite) {
    this.#site = site;
  }

  map<Out>(first: MapFunction<First, Out>, second: MapFunction<Second, Out>): OperatorStream<Out> {
    const functions = [first, second].map((map) => asFlatMap(checkFunction(map, 'connect(...).map') as never));
    return flatMapOf(this.#site, functions[0] as AnyFlatMap, functions[1] as AnyFlatMap, null);
  }

  flatMap<Out>(first: FlatMapFunction<First, Out>, second: FlatMapFunction<Second, Out>): OperatorStream<Out> {
    checkFunction(first, 'connect(...).flatMap');
    checkFunction(second, 'connect(...).flatMap');
    return flatMapOf(this.#site, first as AnyFlatMap, second as AnyFlatMap, null);
  }

  keyBy<const K extends Key>(
    keyOfFirst: (value: Readonly<First>) => K,
    keyOfSecond: (value: Readonly<Second>) => K,
  ): KeyedConnectedStream<First, Second, K> {
    checkFunction(keyOfFirst, 'connect(...).keyBy');
    checkFunction(keyOfSecond, 'connect(...).keyBy');
    const { first, second } = this.#site;
    if ([...first, ...second].some((end) => end.partitioner !== 'auto')) {
      throw new EngineError(
        'JOB_INVALID',
        'connect(...).keyBy decides where records go; remove rebalance() or broadcast() before it',
      );
    }
    const site = { ...this.#site, first: hashed(first), second: hashed(second) };
    return connectKeyed<First, Second, K>(site, keyOfFirst, keyOfSecond);
  }

  process<Out>(first: unknown, second?: unknown): OperatorStream<Out> {
    const process = (second ?? first) as FunctionsOf<'plain-co-process'>['process'];
    return addConnected(this.#site, { kind: 'plain-co-process', process }, plainCoProcessConfig(process));
  }
}

const hashed = (ends: readonly StreamEnd[]): StreamEnd[] => ends.map((end) => ({ ...end, partitioner: 'hash' }));

class KeyedConnected<First, Second, K extends Key> implements KeyedConnectedStream<First, Second, K> {
  readonly #site: BuildSite;
  readonly #keys: Keys;

  constructor(site: BuildSite, keys: Keys) {
    this.#site = site;
    this.#keys = keys;
  }

  map<Out>(first: MapFunction<First, Out>, second: MapFunction<Second, Out>): OperatorStream<Out> {
    const functions = [first, second].map((map) => asFlatMap(checkFunction(map, 'connect(...).map') as never));
    return flatMapOf(this.#site, functions[0] as AnyFlatMap, functions[1] as AnyFlatMap, this.#keys);
  }

  flatMap<Out>(first: FlatMapFunction<First, Out>, second: FlatMapFunction<Second, Out>): OperatorStream<Out> {
    checkFunction(first, 'connect(...).flatMap');
    checkFunction(second, 'connect(...).flatMap');
    return flatMapOf(this.#site, first as AnyFlatMap, second as AnyFlatMap, this.#keys);
  }

  process<Out>(first: unknown, second?: unknown): OperatorStream<Out> {
    const process = (second ?? first) as FunctionsOf<'co-process'>['process'];
    return addConnected(this.#site, { kind: 'co-process', ...this.#keys, process }, coProcessConfig(process));
  }
}

class BroadcastConnected<Main, Broadcast> implements BroadcastConnectedStream<Main, Broadcast> {
  readonly #site: BuildSite;

  constructor(site: BuildSite) {
    this.#site = site;
  }

  process<Out>(first: unknown, second?: unknown): OperatorStream<Out> {
    const process = (second ?? first) as FunctionsOf<'plain-broadcast-process'>['process'];
    const config = plainBroadcastProcessConfig(process);
    return addConnected(this.#site, { kind: 'plain-broadcast-process', process }, config);
  }
}

class KeyedBroadcastConnected<Main, Broadcast, K extends Key>
  implements KeyedBroadcastConnectedStream<Main, Broadcast, K>
{
  readonly #site: BuildSite;
  readonly #keyOf: KeySelector<never>;

  constructor(site: BuildSite, keyOf: KeySelector<never>) {
    this.#site = site;
    this.#keyOf = keyOf;
  }

  process<Out>(first: unknown, second?: unknown): OperatorStream<Out> {
    const process = (second ?? first) as FunctionsOf<'broadcast-process'>['process'];
    const config = broadcastProcessConfig(process);
    return addConnected(this.#site, { kind: 'broadcast-process', keyOf: this.#keyOf, process }, config);
  }
}

export function connectStreams<First, Second>(site: BuildSite): ConnectedStream<First, Second> {
  return new Connected(site);
}

export function connectKeyed<First, Second, K extends Key>(
  site: BuildSite,
  keyOf: KeySelector<First, K>,
  keyOfSecond: KeySelector<Second, K>,
): KeyedConnectedStream<First, Second, K> {
  return new KeyedConnected(site, { keyOf, keyOfSecond });
}

export function connectBroadcast<Main, Broadcast>(site: BuildSite): BroadcastConnectedStream<Main, Broadcast> {
  return new BroadcastConnected(site);
}

export function connectKeyedBroadcast<Main, Broadcast, K extends Key>(
  site: BuildSite,
  keyOf: KeySelector<Main, K>,
): KeyedBroadcastConnectedStream<Main, Broadcast, K> {
  return new KeyedBroadcastConnected(site, keyOf);
}
