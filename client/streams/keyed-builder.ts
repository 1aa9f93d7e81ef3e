/** What `keyBy` returns: rolling operators, joins and windows of records that have a key. */
import type { AggregateSet } from '../../core/aggregate.ts';
import { EngineError } from '../../core/errors.ts';
import type {
  IntervalJoinContext,
  Key,
  KeyedProcessFunction,
  KeySelector,
  ReduceFunction,
  UserFunction,
} from '../../core/operators.ts';
import type { StateDeclarations } from '../../core/state/declarations.ts';
import type { CoGroupFunction, WindowJoinType } from '../../core/window-functions.ts';
import type { WindowDefinition } from '../../core/windows.ts';
import { aggregatesConfig } from './aggregates-config.ts';
import { addStream, type BuildSite, isBroadcast, type NodeParts } from './build-site.ts';
import { dedupParts, intervalJoinParts, joinParts, topNParts, updatingAggregateParts } from './changelog-builder.ts';
import type {
  ChangelogStream,
  DedupOptions,
  IntervalJoinOptions,
  IntervalJoinStream,
  JoinOptions,
  JoinType,
  RankedRecord,
  UpdatingAggregateOptions,
  UpdatingTopNOptions,
} from './changelog-types.ts';
import { checkFunction, checkUserFunction } from './checks.ts';
import { connectKeyed, connectKeyedBroadcast } from './connected-builder.ts';
import { planCoGroup } from './general-windows.ts';
import type { KeyedResult, KeyedStream } from './keyed-types.ts';
import { processConfig } from './process-config.ts';
import type { OperatorStream } from './stream-types.ts';
import type { RecordType } from './tags.ts';
import type { CoGroupedStream, WindowedStream, WindowJoinOptions } from './window-types.ts';
import { windowedStream } from './windowed-builder.ts';

/** The records of the site, whose ends are partitioned by hash, with their key. */
export function keyedStream<T, K extends Key>(site: BuildSite, keyOf: KeySelector<T, K>): KeyedStream<T, K> {
  return new Keyed(site, keyOf);
}

class Keyed<T, K extends Key> implements KeyedStream<T, K> {
  readonly #site: BuildSite;
  readonly #keyOf: KeySelector<T, K>;

  constructor(site: BuildSite, keyOf: KeySelector<T, K>) {
    this.#site = site;
    this.#keyOf = keyOf;
  }

  reduce(reduce: UserFunction<ReduceFunction<T>>): OperatorStream<T> {
    // A function that takes and returns T has no common supertype but this one; the runtime only ever gives it its own records.
    const erased = checkUserFunction(reduce, 'reduce') as unknown as UserFunction<ReduceFunction<never>>;
    return this.#add({ functions: { kind: 'reduce', keyOf: this.#keyOf, reduce: erased }, config: {} });
  }

  aggregate<const Set extends AggregateSet<Readonly<T>>>(
    aggregates: Set,
    options?: UpdatingAggregateOptions,
  ): ChangelogStream<KeyedResult<K, Set>> {
    if (options !== undefined) return this.#add(updatingAggregateParts(this.#keyOf, aggregates, options));
    const config = { aggregates: aggregatesConfig(aggregates, ['key']) };
    return this.#add({ functions: { kind: 'aggregate', keyOf: this.#keyOf, aggregates }, config });
  }

  topN(n: number, options: UpdatingTopNOptions<T> & { readonly rank: false }): ChangelogStream<T>;
  topN(n: number, options: UpdatingTopNOptions<T> & { readonly rank?: true }): ChangelogStream<RankedRecord<T>>;
  topN<Out>(n: number, options: UpdatingTopNOptions<T> & { readonly rank?: boolean }): ChangelogStream<Out> {
    return this.#add(topNParts(this.#keyOf, n, options));
  }

  dedup(options: DedupOptions): ChangelogStream<T> {
    return this.#add(dedupParts(this.#keyOf, options));
  }

  process<Out, D extends StateDeclarations>(
    first: RecordType<Out> | KeyedProcessFunction<T, K, Out, D>,
    second?: KeyedProcessFunction<T, K, Out, D>,
  ): OperatorStream<Out> {
    const process = (second ?? first) as KeyedProcessFunction<never, never, unknown, StateDeclarations>;
    const config = processConfig(process);
    return this.#add({ functions: { kind: 'process', keyOf: this.#keyOf, process }, config });
  }

  window(window: WindowDefinition<T>): WindowedStream<T, K> {
    return windowedStream(this.#site, this.#keyOf, window);
  }

  join<B, Out, const Type extends JoinType>(
    other: KeyedStream<B, K>,
    options: JoinOptions<Type>,
    join: (first: never, second: never) => Out,
  ): ChangelogStream<Out> {
    const second = keyedOf<B, K>(other, 'join');
    const parts = joinParts(this.#keyOf, second.#keyOf, options, join);
    return addStream<Out, T, B>(this.#with(second), parts);
  }

  intervalJoin<B, Out>(
    other: KeyedStream<B, K>,
    options: IntervalJoinOptions,
    join: (first: Readonly<T>, second: Readonly<B>, context: IntervalJoinContext) => Out,
  ): IntervalJoinStream<Out, T, B> {
    const second = keyedOf<B, K>(other, 'intervalJoin');
    const parts = intervalJoinParts(this.#keyOf, second.#keyOf, options, join);
    return addStream<Out, T, B>(this.#with(second), parts);
  }

  windowJoin<B, Out, Type extends WindowJoinType = 'inner'>(
    other: KeyedStream<B, K>,
    window: WindowDefinition<T | B>,
    options: WindowJoinOptions<T | B, Type>,
    join: (first: never, second: never) => Out,
  ): CoGroupedStream<Out, T, B> {
    const second = keyedOf<B, K>(other, 'windowJoin');
    const { allowedLateness, trigger } = options;
    const type: WindowJoinType = options.type ?? 'inner';
    const body = { join: checkFunction(join, 'windowJoin'), coGroup: null, type, allowedLateness, trigger };
    return addStream<Out, T, B>(this.#with(second), planCoGroup(this.#keyOf, second.#keyOf, window, body));
  }

  coGroup<B, Out>(
    other: KeyedStream<B, K>,
    window: WindowDefinition<T | B>,
    coGroup: CoGroupFunction<T, B, K, Out>,
    options: Omit<WindowJoinOptions<T | B>, 'type'> = {},
  ): CoGroupedStream<Out, T, B> {
    const second = keyedOf<B, K>(other, 'coGroup');
    const { allowedLateness, trigger } = options;
    const body = { join: null, coGroup: checkFunction(coGroup, 'coGroup'), type: null, allowedLateness, trigger };
    return addStream<Out, T, B>(this.#with(second), planCoGroup(this.#keyOf, second.#keyOf, window, body));
  }

  // The overloads of the interface say what is connected to what; here the argument itself does.
  connect(other: unknown): never {
    if (isBroadcast(other)) {
      return connectKeyedBroadcast({ ...this.#site, second: other.ends }, this.#keyOf) as never;
    }
    if (other instanceof Keyed) {
      return connectKeyed(this.#with(other), this.#keyOf, other.#keyOf as KeySelector<never, K>) as never;
    }
    throw new EngineError(
      'JOB_INVALID',
      'connect of a keyed stream needs another keyed stream or a broadcast one; call keyBy(...) or broadcast() on it',
    );
  }

  #add<Out>(parts: NodeParts): ChangelogStream<Out> {
    return addStream<Out, T>(this.#site, parts);
  }

  #with<B>(second: Keyed<B, K>): BuildSite {
    return { ...this.#site, second: second.#site.first };
  }
}

function keyedOf<T, K extends Key>(stream: unknown, what: string): Keyed<T, K> {
  if (stream instanceof Keyed) return stream as Keyed<T, K>;
  throw new EngineError(
    'JOB_INVALID',
    `${what} needs a keyed stream of this job as its other side: give it .keyBy(...)`,
  );
}
