/**
 * The implementation of the stream interfaces: every call adds a node to the logical graph and wraps it. One file, because
 * the classes make each other. Nothing here decides anything about chains or ids.
 */
import type { AggregateSet } from '../../core/aggregate.ts';
import { type Change, type ChangeKind, mergedMode } from '../../core/changelog.ts';
import type { Sink, SinkLike } from '../../core/connector/index.ts';
import { EngineError } from '../../core/errors.ts';
import type {
  AsyncFunction,
  FilterFunction,
  FlatMapFunction,
  IntervalJoinContext,
  Key,
  KeyedProcessFunction,
  KeySelector,
  MapFunction,
  OnError,
  OperatorFunctions,
  OutputTag,
  PartitionFunction,
  ProcessFunction,
  ReduceFunction,
  SideFlatMapFunction,
  UserFunction,
} from '../../core/operators.ts';
import type { JsonObject } from '../../core/plain-data.ts';
import type { StateDeclarations } from '../../core/state/declarations.ts';
import type { OperatorStateDeclarations } from '../../core/state/operator-state.ts';
import type {
  CoGroupFunction,
  WindowEvictor,
  WindowFunction,
  WindowInfo,
  WindowJoinType,
  WindowTrigger,
} from '../../core/window-functions.ts';
import type { WindowDefinition } from '../../core/windows.ts';
import { collectSink } from '../sinks/collect.ts';
import { collectTableSink } from '../sinks/collect-table.ts';
import { printSink } from '../sinks/print.ts';
import { modeOfEnd } from '../plan/changelog-modes.ts';
import { aggregatesConfig } from './aggregates-config.ts';
import { type AsyncNode, asyncNode } from './async-config.ts';
import type { AsyncOptions } from './async-types.ts';
import { checkFunction, checkId, checkUserFunction } from './checks.ts';
import { type LogicalGraph, type LogicalNode, lateSecondTag, lateTag, type StreamEnd } from '../plan/logical-graph.ts';
import {
  checkEvictor,
  checkLateness,
  checkTrigger,
  isIncremental,
  type PlannedOperator,
  planCoGroup,
  planWindow,
  trailingFunction,
  type WindowBody,
  type WindowSettings,
} from './general-windows.ts';
import {
  disableChaining,
  setName,
  setParallelism,
  setSlotSharingGroup,
  setUid,
  startNewChain,
} from './node-settings.ts';
import { customPartition, keyedEnds, spreadEnds } from './partitioners.ts';
import {
  dedupParts,
  intervalJoinParts,
  joinParts,
  type NodeParts,
  toChangelogParts,
  topNParts,
  updatingAggregateParts,
  upsertsParts,
} from './changelog-builder.ts';
import type {
  ChangelogStream,
  CollectOptions,
  DedupOptions,
  IntervalJoinOptions,
  IntervalJoinStream,
  JoinOptions,
  JoinType,
  RankedRecord,
  ToChangelogOptions,
  UpdatingAggregateOptions,
  UpdatingTopNOptions,
} from './changelog-types.ts';
import {
  type ConnectedEnds,
  connectBroadcast,
  connectKeyed,
  connectKeyedBroadcast,
  connectStreams,
} from './connected-builder.ts';
import type { BroadcastStream } from './connected-types.ts';
import { plainProcessConfig, processConfig } from './process-config.ts';
import { type SideMap, sideFilter, sideMap } from './side-functions.ts';
import type {
  KeyedResult,
  KeyedStream,
  OperatorStream,
  SideInputStream,
  SinkHandle,
  SourceStream,
  Stream,
  WindowedStream,
  WindowResult,
  WindowStream,
} from './stream-types.ts';
import type { RecordType } from './tags.ts';
import { planTime, type TimestampOptions } from './watermarks.ts';
import { checkLateOutput, gapFunction } from './window-checks.ts';
import type { CoGroupedStream, WindowJoinOptions } from './window-types.ts';
import { checkWindow, windowConfig } from './windows.ts';

/** Adds a node that reads `ends` on input 0. */
function addNode(
  graph: LogicalGraph,
  ends: readonly StreamEnd[],
  functions: OperatorFunctions,
  config: JsonObject = {},
): LogicalNode {
  if (
    functions.kind === 'source-planner' ||
    functions.kind === 'source-reader' ||
    functions.kind === 'sink-committer' ||
    functions.kind === 'sink-writer'
  ) {
    throw new EngineError('INTERNAL', `a ${functions.kind} is not added as a transformation`, { domain: 'internal' });
  }
  return graph.add({ kind: functions.kind, inputs: ends.map((end) => ({ ...end, input: 0 })), functions, config });
}

class StreamOfEnds<T> implements Stream<T> {
  readonly graph: LogicalGraph;
  readonly ends: readonly StreamEnd[];

  constructor(graph: LogicalGraph, ends: readonly StreamEnd[]) {
    this.graph = graph;
    this.ends = ends;
  }

  map<Out>(map: UserFunction<MapFunction<T, Out>>): ChangelogStream<Out> {
    return this.#operator({ kind: 'map', map: checkUserFunction(map, 'map') });
  }

  filter<Kept extends T>(predicate: UserFunction<FilterFunction<T>>): ChangelogStream<Kept> {
    return this.#operator({ kind: 'filter', filter: checkUserFunction(predicate, 'filter') });
  }

  flatMap<Out>(flatMap: UserFunction<FlatMapFunction<T, Out>>): ChangelogStream<Out> {
    return this.#operator({ kind: 'flat-map', flatMap: checkUserFunction(flatMap, 'flatMap') });
  }

  keyBy<const K extends Key>(keyOf: (value: Readonly<T>) => K): KeyedStream<T, K> {
    checkFunction(keyOf, 'keyBy');
    return new KeyedStreamOfEnds(this.graph, keyedEnds(this.ends), keyOf);
  }

  windowAll(window: WindowDefinition<T>): WindowedStream<T, 0> {
    const settings = { window: checkWindow(window) as WindowDefinition<never>, ...noWindowSettings };
    return new WindowedStreamOfEnds<T, 0>(this.graph, keyedEnds(this.ends), oneKey, settings, 1);
  }

  withTimestamps(
    timestampOf: (value: Readonly<T>, sourceTimestampMs: number) => number,
    options: TimestampOptions<T>,
  ): OperatorStream<T> {
    checkFunction(timestampOf, 'withTimestamps');
    const { config, watermarks, alignment } = planTime(options);
    return this.#operator<T>({ kind: 'timestamps', timestampOf, watermarks, alignment }, config);
  }

  union(...others: readonly Stream<T>[]): Stream<T> {
    const ends = [...this.ends, ...others.flatMap((other) => endsOf(other, 'union'))];
    return new StreamOfEnds(this.graph, ends);
  }

  broadcastInput<S, Side>(side: Stream<S>, build: (records: readonly S[]) => Side): SideInputStream<T, Side> {
    checkFunction(build, 'broadcastInput');
    return new SideInputOfEnds(this.graph, this.ends, endsOf(side, 'broadcastInput'), build);
  }

  rebalance(): Stream<T> {
    return new StreamOfEnds(this.graph, spreadEnds(this.ends, 'rebalance'));
  }

  broadcast(): BroadcastStream<T> {
    return new BroadcastStreamOfEnds(this.graph, spreadEnds(this.ends, 'broadcast'));
  }

  // The overloads of the interface say what is connected to what; here the argument itself does.
  connect(other: unknown): never {
    const ends = connectedEnds(this.graph, this.ends, endsOf(other, 'connect'));
    return (other instanceof BroadcastStreamOfEnds ? connectBroadcast(ends) : connectStreams(ends)) as never;
  }

  process<Out, D extends OperatorStateDeclarations>(
    first: RecordType<Out> | ProcessFunction<T, Out, D>,
    second?: ProcessFunction<T, Out, D>,
  ): OperatorStream<Out> {
    const process = (second ?? first) as ProcessFunction<never, unknown, OperatorStateDeclarations>;
    return this.#operator({ kind: 'plain-process', process }, plainProcessConfig(process));
  }

  rescale(): Stream<T> {
    return new StreamOfEnds(this.graph, spreadEnds(this.ends, 'rescale'));
  }

  shuffle(): Stream<T> {
    return new StreamOfEnds(this.graph, spreadEnds(this.ends, 'shuffle'));
  }

  global(): Stream<T> {
    return new StreamOfEnds(this.graph, spreadEnds(this.ends, 'global'));
  }

  forward(): Stream<T> {
    return new StreamOfEnds(this.graph, spreadEnds(this.ends, 'forward'));
  }

  partitionCustom<K>(keyOf: (value: Readonly<T>) => K, partition: PartitionFunction<K>): Stream<T> {
    return new StreamOfEnds(this.graph, spreadEnds(this.ends, 'custom', customPartition(keyOf, partition)));
  }

  asyncMap<Out>(call: UserFunction<AsyncFunction<T, Out>>, options: AsyncOptions<T, Out> = {}): OperatorStream<Out> {
    return this.#asyncOperator<Out>(asyncNode(call, options, false));
  }

  asyncFlatMap<Out>(
    call: UserFunction<AsyncFunction<T, Iterable<Out>>>,
    options: AsyncOptions<T, Iterable<Out>> = {},
  ): OperatorStream<Out> {
    return this.#asyncOperator<Out>(asyncNode(call, options, true));
  }

  toChangelog(kindOf: (value: Readonly<T>) => ChangeKind, options?: ToChangelogOptions): ChangelogStream<T> {
    return this.#ofParts(toChangelogParts(kindOf, options));
  }

  changes(): OperatorStream<Change<T>> {
    return this.#operator({ kind: 'changes' });
  }

  fromUpserts<K extends Key>(
    keyOf: (value: Readonly<T>) => K,
    isDelete?: (value: Readonly<T>) => boolean,
  ): ChangelogStream<T> {
    const { functions, config } = upsertsParts(keyOf, isDelete, this.#isChangelog);
    return new StreamOfNode<T, T>(this.graph, addNode(this.graph, keyedEnds(this.ends), functions, config));
  }

  to(sinkLike: SinkLike<T>): SinkHandle {
    const candidate: unknown =
      typeof sinkLike === 'object' && sinkLike !== null && 'sink' in sinkLike ? sinkLike.sink : sinkLike;
    if (typeof candidate !== 'object' || candidate === null || (candidate as { type?: unknown }).type !== 'sink') {
      throw new EngineError('JOB_INVALID', "to(...) needs a sink, for example files.jsonl('out') of millrace/files");
    }
    const sink = candidate as Sink<T>;
    const node = this.graph.add({
      kind: 'sink',
      inputs: this.ends.map((end) => ({ ...end, input: 0 })),
      functions: { kind: 'sink-writer', sink },
      config: { sink: sink.kind, options: sink.options },
      defaultName: sink.kind,
    });
    return new NodeSettings(node);
  }

  collect(name: string, { key }: CollectOptions<T> = {}): SinkHandle {
    const id = checkId(name, 'collect: name');
    return this.to(
      key === undefined ? collectSink<T>(id) : collectTableSink<T>(id, checkFunction(key, 'collect: key')),
    );
  }

  print(prefix = ''): SinkHandle {
    return this.to(printSink<T>(prefix, this.#isChangelog));
  }

  #asyncOperator<Out>({ functions, config, tuning }: AsyncNode): OperatorStream<Out> {
    const inputs = this.ends.map((end) => ({ ...end, input: 0 }));
    return new StreamOfNode<Out, T>(
      this.graph,
      this.graph.add({ kind: 'async-map', inputs, functions, config, tuning }),
    );
  }

  get #isChangelog(): boolean {
    return mergedMode(this.ends.map(modeOfEnd)) !== 'append';
  }

  #ofParts<Out>({ functions, config }: NodeParts): ChangelogStream<Out> {
    return this.#operator(functions, config);
  }

  #operator<Out>(functions: OperatorFunctions, config?: JsonObject): ChangelogStream<Out> {
    return new StreamOfNode<Out, T>(this.graph, addNode(this.graph, this.ends, functions, config));
  }
}

/** A stream for every subtask of what follows. */
class BroadcastStreamOfEnds<T> extends StreamOfEnds<T> implements BroadcastStream<T> {
  readonly broadcasts = true;
}

function connectedEnds(graph: LogicalGraph, first: readonly StreamEnd[], second: readonly StreamEnd[]): ConnectedEnds {
  return { graph, first, second, streamOf: <Out>(node: LogicalNode) => new StreamOfNode<Out, never>(graph, node) };
}

/** Settings of a node without an output: a sink. */
class NodeSettings implements SinkHandle {
  readonly #node: LogicalNode;

  constructor(node: LogicalNode) {
    this.#node = node;
  }

  uid(id: string): this {
    setUid(this.#node, id);
    return this;
  }

  name(name: string): this {
    setName(this.#node, name);
    return this;
  }

  parallelism(subtaskCount: number): this {
    setParallelism(this.#node, subtaskCount);
    return this;
  }

  slotSharingGroup(group: string): this {
    setSlotSharingGroup(this.#node, group);
    return this;
  }

  startNewChain(): this {
    startNewChain(this.#node);
    return this;
  }

  disableChaining(): this {
    disableChaining(this.#node);
    return this;
  }
}

/** Main output of one operator, of a source and of a window alike: the interfaces say which calls make sense. */
class StreamOfNode<T, In, Second = never>
  extends StreamOfEnds<T>
  implements
    WindowStream<T, In>,
    CoGroupedStream<T, In, Second>,
    IntervalJoinStream<T, In, Second>,
    SourceStream<T>,
    ChangelogStream<T>
{
  readonly #node: LogicalNode;

  constructor(graph: LogicalGraph, node: LogicalNode) {
    super(graph, [{ node, tag: null, partitioner: 'auto' }]);
    this.#node = node;
  }

  uid(id: string): this {
    setUid(this.#node, id);
    return this;
  }

  name(name: string): this {
    setName(this.#node, name);
    return this;
  }

  parallelism(subtaskCount: number): this {
    setParallelism(this.#node, subtaskCount);
    return this;
  }

  slotSharingGroup(group: string): this {
    setSlotSharingGroup(this.#node, group);
    return this;
  }

  startNewChain(): this {
    startNewChain(this.#node);
    return this;
  }

  disableChaining(): this {
    disableChaining(this.#node);
    return this;
  }

  onError(reaction: OnError): this {
    const known =
      reaction === 'fail' ||
      reaction === 'skip' ||
      (typeof reaction === 'object' && typeof reaction?.sideOutput === 'string');
    if (!known) throw new EngineError('JOB_INVALID', "onError takes 'fail', 'skip' or sideOutput(tag)");
    this.#node.change().onError = reaction;
    return this;
  }

  sideOutput<S>(tag: OutputTag<S>): Stream<S> {
    return new StreamOfEnds(this.graph, [{ node: this.#node, tag: tag.tag, partitioner: 'auto' }]);
  }

  late(): Stream<In> {
    return this.#lateOf(lateTag);
  }

  lateFirst(): Stream<In> {
    return this.#lateOf(lateTag);
  }

  lateSecond(): Stream<Second> {
    return this.#lateOf(lateSecondTag);
  }

  #lateOf<Late>(tag: string): Stream<Late> {
    checkLateOutput(this.#node);
    this.#node.change().lateTags.add(tag);
    return new StreamOfEnds(this.graph, [{ node: this.#node, tag, partitioner: 'auto' }]);
  }
}

class KeyedStreamOfEnds<T, K extends Key> implements KeyedStream<T, K> {
  readonly #graph: LogicalGraph;
  readonly #ends: readonly StreamEnd[];
  readonly #keyOf: KeySelector<T, K>;

  constructor(graph: LogicalGraph, ends: readonly StreamEnd[], keyOf: KeySelector<T, K>) {
    this.#graph = graph;
    this.#ends = ends;
    this.#keyOf = keyOf;
  }

  reduce(reduce: UserFunction<ReduceFunction<T>>): OperatorStream<T> {
    // A function that takes and returns T has no common supertype but this one; the runtime only ever gives it its own records.
    const erased = checkUserFunction(reduce, 'reduce') as unknown as UserFunction<ReduceFunction<never>>;
    return new StreamOfNode<T, T>(
      this.#graph,
      addNode(this.#graph, this.#ends, { kind: 'reduce', keyOf: this.#keyOf, reduce: erased }),
    );
  }

  aggregate<const Set extends AggregateSet<Readonly<T>>>(
    aggregates: Set,
    options?: UpdatingAggregateOptions,
  ): ChangelogStream<KeyedResult<K, Set>> {
    if (options !== undefined) return this.#ofParts(updatingAggregateParts(this.#keyOf, aggregates, options));
    const config = { aggregates: aggregatesConfig(aggregates, ['key']) };
    return new StreamOfNode(
      this.#graph,
      addNode(this.#graph, this.#ends, { kind: 'aggregate', keyOf: this.#keyOf, aggregates }, config),
    );
  }

  topN(n: number, options: UpdatingTopNOptions<T> & { readonly rank: false }): ChangelogStream<T>;
  topN(n: number, options: UpdatingTopNOptions<T> & { readonly rank?: true }): ChangelogStream<RankedRecord<T>>;
  topN<Out>(n: number, options: UpdatingTopNOptions<T> & { readonly rank?: boolean }): ChangelogStream<Out> {
    return this.#ofParts(topNParts(this.#keyOf, n, options));
  }

  dedup(options: DedupOptions): ChangelogStream<T> {
    return this.#ofParts(dedupParts(this.#keyOf, options));
  }

  join<B, Out, const Type extends JoinType>(
    other: KeyedStream<B, K>,
    options: JoinOptions<Type>,
    join: (first: never, second: never) => Out,
  ): ChangelogStream<Out> {
    const second = keyedOf<B, K>(other, 'join');
    return this.#ofTwo(second, joinParts(this.#keyOf, second.#keyOf, options, join));
  }

  intervalJoin<B, Out>(
    other: KeyedStream<B, K>,
    options: IntervalJoinOptions,
    join: (first: Readonly<T>, second: Readonly<B>, context: IntervalJoinContext) => Out,
  ): IntervalJoinStream<Out, T, B> {
    const second = keyedOf<B, K>(other, 'intervalJoin');
    return this.#ofTwo<Out, B>(second, intervalJoinParts(this.#keyOf, second.#keyOf, options, join));
  }

  #ofParts<Out>({ functions, config }: NodeParts): ChangelogStream<Out> {
    return new StreamOfNode<Out, T>(this.#graph, addNode(this.#graph, this.#ends, functions, config));
  }

  #ofTwo<Out, B>(
    second: KeyedStreamOfEnds<B, K>,
    { functions, config }: NodeParts,
  ): ChangelogStream<Out> & IntervalJoinStream<Out, T, B> {
    const inputs = [
      ...this.#ends.map((end) => ({ ...end, input: 0 })),
      ...second.#ends.map((end) => ({ ...end, input: 1 })),
    ];
    const kind = functions.kind as 'join' | 'interval-join';
    return new StreamOfNode<Out, T>(this.#graph, this.#graph.add({ kind, inputs, functions, config }));
  }

  window(window: WindowDefinition<T>): WindowedStream<T, K> {
    const settings = { window: checkWindow(window) as WindowDefinition<never>, ...noWindowSettings };
    return new WindowedStreamOfEnds(this.#graph, this.#ends, this.#keyOf, settings, null);
  }

  windowJoin<B, Out, Type extends WindowJoinType = 'inner'>(
    other: KeyedStream<B, K>,
    window: WindowDefinition<T | B>,
    options: WindowJoinOptions<T | B, Type>,
    join: (first: never, second: never) => Out,
  ): CoGroupedStream<Out, T, B> {
    const { allowedLateness, trigger } = options;
    const type: WindowJoinType = options.type ?? 'inner';
    const body = { join: checkFunction(join, 'windowJoin'), coGroup: null, type, allowedLateness, trigger };
    return this.#coGrouped(other, (second) => planCoGroup(this.#keyOf, second, window, body));
  }

  coGroup<B, Out>(
    other: KeyedStream<B, K>,
    window: WindowDefinition<T | B>,
    coGroup: CoGroupFunction<T, B, K, Out>,
    options: Omit<WindowJoinOptions<T | B>, 'type'> = {},
  ): CoGroupedStream<Out, T, B> {
    const { allowedLateness, trigger } = options;
    const body = { join: null, coGroup: checkFunction(coGroup, 'coGroup'), type: null, allowedLateness, trigger };
    return this.#coGrouped(other, (second) => planCoGroup(this.#keyOf, second, window, body));
  }

  #coGrouped<Out, B>(
    other: KeyedStream<B, K>,
    plan: (keyOfSecond: KeySelector<never>) => PlannedOperator,
  ): CoGroupedStream<Out, T, B> {
    if (!(other instanceof KeyedStreamOfEnds))
      throw new EngineError('JOB_INVALID', 'windowJoin and coGroup need another stream with a key: call keyBy on it');
    const { functions, config } = plan(other.#keyOf as KeySelector<never>);
    const inputs = [
      ...this.#ends.map((end) => ({ ...end, input: 0 })),
      ...(other.#ends as readonly StreamEnd[]).map((end) => ({ ...end, input: 1 })),
    ];
    const node = this.#graph.add({ kind: 'window-co-group', inputs, functions, config });
    return new StreamOfNode<Out, T, B>(this.#graph, node);
  }

  process<Out, D extends StateDeclarations>(
    first: RecordType<Out> | KeyedProcessFunction<T, K, Out, D>,
    second?: KeyedProcessFunction<T, K, Out, D>,
  ): OperatorStream<Out> {
    const process = (second ?? first) as KeyedProcessFunction<never, never, unknown, StateDeclarations>;
    const config = processConfig(process);
    return new StreamOfNode(
      this.#graph,
      addNode(this.#graph, this.#ends, { kind: 'process', keyOf: this.#keyOf, process }, config),
    );
  }

  connect(other: unknown): never {
    if (other instanceof BroadcastStreamOfEnds) {
      const ends = connectedEnds(this.#graph, this.#ends, other.ends);
      return connectKeyedBroadcast(ends, this.#keyOf) as never;
    }
    if (other instanceof KeyedStreamOfEnds) {
      const ends = connectedEnds(this.#graph, this.#ends, other.#ends);
      return connectKeyed(ends, this.#keyOf, other.#keyOf as KeySelector<never, K>) as never;
    }
    throw new EngineError(
      'JOB_INVALID',
      'connect of a keyed stream needs another keyed stream or a broadcast one; call keyBy(...) or broadcast() on it',
    );
  }
}

/** What `window(...)` begins with. */
const noWindowSettings = { allowedLatenessMs: 0, trigger: null, evictor: null } as const;
/** The key of all records of `windowAll`. */
const oneKey = (): 0 => 0;

class WindowedStreamOfEnds<T, K extends Key> implements WindowedStream<T, K> {
  readonly #graph: LogicalGraph;
  readonly #ends: readonly StreamEnd[];
  readonly #keyOf: KeySelector<T, K>;
  readonly #settings: WindowSettings;
  /** Of the operator to be made; null: the job's. */
  readonly #parallelism: number | null;

  constructor(
    graph: LogicalGraph,
    ends: readonly StreamEnd[],
    keyOf: KeySelector<T, K>,
    settings: WindowSettings,
    parallelism: number | null,
  ) {
    this.#graph = graph;
    this.#ends = ends;
    this.#keyOf = keyOf;
    this.#settings = settings;
    this.#parallelism = parallelism;
  }

  allowedLateness(duration: number): WindowedStream<T, K> {
    return this.#with({ allowedLatenessMs: checkLateness(this.#settings.window, duration) });
  }

  trigger<D extends StateDeclarations>(trigger: WindowTrigger<T, D>): WindowedStream<T, K> {
    return this.#with({ trigger: checkTrigger(trigger) as unknown as WindowTrigger<never> });
  }

  evictor(evictor: WindowEvictor<T>): WindowedStream<T, K> {
    return this.#with({ evictor: checkEvictor(evictor) as unknown as WindowEvictor<never> });
  }

  reduce<Out>(
    reduce: ReduceFunction<T>,
    first?: RecordType<Out> | ((value: Readonly<T>, context: WindowInfo<K>) => Out),
    second?: unknown,
  ): WindowStream<Out, T> {
    const erased = checkFunction(reduce, 'reduce') as unknown as ReduceFunction<never>;
    return this.#operator({ reduce: erased, ...trailingFunction('reduce', first, second) });
  }

  aggregate<const Set extends AggregateSet<Readonly<T>>, Out = WindowResult<K, Set>>(
    aggregates: Set,
    first?: RecordType<Out> | ((results: WindowResult<K, Set>, context: WindowInfo<K>) => Out),
    second?: unknown,
  ): WindowStream<Out, T> {
    const body: WindowBody = { aggregates, ...trailingFunction('aggregate', first, second) };
    if (!isIncremental(this.#settings, body)) return this.#operator(body);
    const config = {
      window: windowConfig(this.#settings.window),
      allowedLatenessMs: this.#settings.allowedLatenessMs,
      aggregates: aggregatesConfig(aggregates, ['key', 'windowStart', 'windowEnd']),
    };
    const gap = gapFunction(this.#settings.window);
    return this.#add({ functions: { kind: 'window-aggregate', keyOf: this.#keyOf, aggregates, ...gap }, config });
  }

  process<Out>(
    first: RecordType<Out> | WindowFunction<never, never, unknown, StateDeclarations, StateDeclarations>,
    second?: unknown,
  ): WindowStream<Out, T> {
    if (typeof first === 'function')
      throw new EngineError('JOB_INVALID', 'process(...) needs an object with onWindow(records, context)');
    return this.#operator(trailingFunction('process(...)', first ?? null, second));
  }

  #with(settings: Partial<WindowSettings>): WindowedStream<T, K> {
    const all = { ...this.#settings, ...settings };
    return new WindowedStreamOfEnds(this.#graph, this.#ends, this.#keyOf, all, this.#parallelism);
  }

  #operator<Out>(body: WindowBody): WindowStream<Out, T> {
    return this.#add(planWindow(this.#keyOf, this.#settings, body));
  }

  #add<Out>({ functions, config }: PlannedOperator): WindowStream<Out, T> {
    const node = addNode(this.#graph, this.#ends, functions, config);
    node.parallelism = this.#parallelism;
    return new StreamOfNode<Out, T>(this.#graph, node);
  }
}

class SideInputOfEnds<T, S, Side> implements SideInputStream<T, Side> {
  readonly #graph: LogicalGraph;
  readonly #main: readonly StreamEnd[];
  readonly #side: readonly StreamEnd[];
  readonly #build: (records: readonly S[]) => Side;

  constructor(
    graph: LogicalGraph,
    main: readonly StreamEnd[],
    side: readonly StreamEnd[],
    build: (records: readonly S[]) => Side,
  ) {
    this.#graph = graph;
    this.#main = main;
    this.#side = broadcastEnds(side);
    this.#build = build;
  }

  map<Out>(map: UserFunction<SideMap<T, Side, Out>>): OperatorStream<Out> {
    return this.#operator(sideMap(checkUserFunction(map, 'broadcastInput(...).map')));
  }

  filter(predicate: UserFunction<SideMap<T, Side, boolean>>): OperatorStream<T> {
    return this.#operator(sideFilter(checkUserFunction(predicate, 'broadcastInput(...).filter')));
  }

  flatMap<Out>(flatMap: UserFunction<SideMap<T, Side, Iterable<Out>>>): OperatorStream<Out> {
    return this.#operator(checkUserFunction(flatMap, 'broadcastInput(...).flatMap'));
  }

  #operator<Out>(flatMap: UserFunction<SideMap<T, Side, Iterable<Out>>>): OperatorStream<Out> {
    const main = this.#main.map((end) => ({ ...end, input: 0 }));
    const side = this.#side.map((end) => ({ ...end, input: 1 }));
    const functions = {
      kind: 'broadcast-input',
      build: this.#build as (records: readonly never[]) => unknown,
      flatMap: flatMap as UserFunction<SideFlatMapFunction>,
    } as const;
    const node = this.#graph.add({ kind: 'broadcast-input', inputs: [...main, ...side], functions, config: {} });
    return new StreamOfNode<Out, T>(this.#graph, node);
  }
}

/** Every subtask reads all of a side, however its stream was to be spread. */
function broadcastEnds(ends: readonly StreamEnd[]): StreamEnd[] {
  return ends.map(({ node, tag }) => ({ node, tag, partitioner: 'broadcast' }));
}

function endsOf(stream: unknown, what: string): readonly StreamEnd[] {
  if (stream instanceof StreamOfEnds) return stream.ends;
  throw new EngineError(
    'JOB_INVALID',
    `${what} needs a stream of this job, got ${stream === null ? 'null' : typeof stream}`,
  );
}

function keyedOf<T, K extends Key>(stream: unknown, what: string): KeyedStreamOfEnds<T, K> {
  if (stream instanceof KeyedStreamOfEnds) return stream as KeyedStreamOfEnds<T, K>;
  throw new EngineError(
    'JOB_INVALID',
    `${what} needs a keyed stream of this job as its other side: give it .keyBy(...)`,
  );
}

/** The stream of a source node. */
export function streamOfSource<T>(graph: LogicalGraph, node: LogicalNode): SourceStream<T> {
  return new StreamOfNode<T, T>(graph, node);
}
