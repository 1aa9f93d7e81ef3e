/**
 * The implementation of the stream interfaces: every call adds a node to the logical graph and wraps it. One file, because
 * the classes make each other. Nothing here decides anything about chains or ids.
 */
import type { AggregateSet } from '../../core/aggregate.ts';
import type { Sink, SinkLike } from '../../core/connector/index.ts';
import { EngineError } from '../../core/errors.ts';
import type {
  AsyncFunction,
  FilterFunction,
  FlatMapFunction,
  Key,
  KeyedProcessFunction,
  KeySelector,
  MapFunction,
  OnError,
  OperatorFunctions,
  OutputTag,
  PartitionFunction,
  ReduceFunction,
  SideFlatMapFunction,
  UserFunction,
} from '../../core/operators.ts';
import type { JsonObject } from '../../core/plain-data.ts';
import type { StateDeclarations } from '../../core/state/declarations.ts';
import type { WindowDefinition } from '../../core/windows.ts';
import { collectSink } from '../sinks/collect.ts';
import { printSink } from '../sinks/print.ts';
import { aggregatesConfig } from './aggregates-config.ts';
import { type AsyncNode, asyncNode } from './async-config.ts';
import type { AsyncOptions } from './async-types.ts';
import { checkDuration, checkFunction, checkId, checkUserFunction } from './checks.ts';
import { type LogicalGraph, type LogicalNode, lateTag, type StreamEnd } from '../plan/logical-graph.ts';
import {
  disableChaining,
  setName,
  setParallelism,
  setSlotSharingGroup,
  setUid,
  startNewChain,
} from './node-settings.ts';
import { customPartition, keyedEnds, spreadEnds } from './partitioners.ts';
import { processConfig } from './process-config.ts';
import { type SideMap, sideFilter, sideMap } from './side-functions.ts';
import type {
  KeyedResult,
  KeyedStream,
  OperatorStream,
  SideInputStream,
  SinkHandle,
  SourceStream,
  Stream,
  TimestampOptions,
  WindowedStream,
  WindowResult,
  WindowStream,
} from './stream-types.ts';
import type { RecordType } from './tags.ts';
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

  map<Out>(map: UserFunction<MapFunction<T, Out>>): OperatorStream<Out> {
    return this.#operator({ kind: 'map', map: checkUserFunction(map, 'map') });
  }

  filter<Kept extends T>(predicate: UserFunction<FilterFunction<T>>): OperatorStream<Kept> {
    return this.#operator({ kind: 'filter', filter: checkUserFunction(predicate, 'filter') });
  }

  flatMap<Out>(flatMap: UserFunction<FlatMapFunction<T, Out>>): OperatorStream<Out> {
    return this.#operator({ kind: 'flat-map', flatMap: checkUserFunction(flatMap, 'flatMap') });
  }

  keyBy<const K extends Key>(keyOf: (value: Readonly<T>) => K): KeyedStream<T, K> {
    checkFunction(keyOf, 'keyBy');
    return new KeyedStreamOfEnds(this.graph, keyedEnds(this.ends), keyOf);
  }

  withTimestamps(timestampOf: (value: Readonly<T>) => number, options: TimestampOptions): OperatorStream<T> {
    checkFunction(timestampOf, 'withTimestamps');
    const { outOfOrderness, idleTimeout, onBadTimestamp = 'fail' } = options;
    if (onBadTimestamp !== 'fail' && onBadTimestamp !== 'skip') {
      throw new EngineError(
        'JOB_INVALID',
        `withTimestamps: onBadTimestamp is ${JSON.stringify(onBadTimestamp)}; use 'fail' or 'skip'`,
      );
    }
    return this.#operator<T>(
      { kind: 'timestamps', timestampOf },
      {
        outOfOrdernessMs: checkDuration(outOfOrderness, 0, 'withTimestamps: outOfOrderness'),
        idleTimeoutMs: idleTimeout === undefined ? null : checkDuration(idleTimeout, 1, 'withTimestamps: idleTimeout'),
        onBadTimestamp,
      },
    );
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

  broadcast(): Stream<T> {
    return new StreamOfEnds(this.graph, spreadEnds(this.ends, 'broadcast'));
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

  collect(name: string): SinkHandle {
    return this.to(collectSink<T>(checkId(name, 'collect: name')));
  }

  print(prefix = ''): SinkHandle {
    return this.to(printSink<T>(prefix));
  }

  #asyncOperator<Out>({ functions, config, tuning }: AsyncNode): OperatorStream<Out> {
    const inputs = this.ends.map((end) => ({ ...end, input: 0 }));
    return new StreamOfNode<Out, T>(
      this.graph,
      this.graph.add({ kind: 'async-map', inputs, functions, config, tuning }),
    );
  }

  #operator<Out>(functions: OperatorFunctions, config?: JsonObject): OperatorStream<Out> {
    return new StreamOfNode<Out, T>(this.graph, addNode(this.graph, this.ends, functions, config));
  }
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
class StreamOfNode<T, In> extends StreamOfEnds<T> implements WindowStream<T, In>, SourceStream<T> {
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
    this.#node.change().lateOutput = true;
    return new StreamOfEnds(this.graph, [{ node: this.#node, tag: lateTag, partitioner: 'auto' }]);
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

  aggregate<const Set extends AggregateSet<Readonly<T>>>(aggregates: Set): OperatorStream<KeyedResult<K, Set>> {
    const config = { aggregates: aggregatesConfig(aggregates, ['key']) };
    return new StreamOfNode(
      this.#graph,
      addNode(this.#graph, this.#ends, { kind: 'aggregate', keyOf: this.#keyOf, aggregates }, config),
    );
  }

  window(window: WindowDefinition<T>): WindowedStream<T, K> {
    return new WindowedStreamOfEnds(this.#graph, this.#ends, this.#keyOf, checkWindow(window), 0);
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
}

class WindowedStreamOfEnds<T, K extends Key> implements WindowedStream<T, K> {
  readonly #graph: LogicalGraph;
  readonly #ends: readonly StreamEnd[];
  readonly #keyOf: KeySelector<T, K>;
  readonly #window: WindowDefinition<T>;
  readonly #allowedLatenessMs: number;

  constructor(
    graph: LogicalGraph,
    ends: readonly StreamEnd[],
    keyOf: KeySelector<T, K>,
    window: WindowDefinition<T>,
    allowedLatenessMs: number,
  ) {
    this.#graph = graph;
    this.#ends = ends;
    this.#keyOf = keyOf;
    this.#window = window;
    this.#allowedLatenessMs = allowedLatenessMs;
  }

  allowedLateness(duration: number): WindowedStream<T, K> {
    const allowedLatenessMs = checkDuration(duration, 0, 'allowedLateness');
    return new WindowedStreamOfEnds(this.#graph, this.#ends, this.#keyOf, this.#window, allowedLatenessMs);
  }

  aggregate<const Set extends AggregateSet<Readonly<T>>>(aggregates: Set): WindowStream<WindowResult<K, Set>, T> {
    const config = {
      window: windowConfig(this.#window),
      allowedLatenessMs: this.#allowedLatenessMs,
      aggregates: aggregatesConfig(aggregates, ['key', 'windowStart', 'windowEnd']),
    };
    const functions = { kind: 'window-aggregate', keyOf: this.#keyOf, aggregates } as const;
    return new StreamOfNode<WindowResult<K, Set>, T>(this.#graph, addNode(this.#graph, this.#ends, functions, config));
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

/** The stream of a source node. */
export function streamOfSource<T>(graph: LogicalGraph, node: LogicalNode): SourceStream<T> {
  return new StreamOfNode<T, T>(graph, node);
}
