/**
 * The implementation of the stream interfaces: every call adds a node to the logical graph and wraps it. One file, because
 * the classes make each other. Nothing here decides anything about chains or ids.
 */
import type { AggregateSet } from '../../core/aggregate.ts';
import type { Sink, SinkLike } from '../../core/connector/index.ts';
import { EngineError } from '../../core/errors.ts';
import type {
  FilterFunction,
  FlatMapFunction,
  Key,
  KeyedProcessFunction,
  KeySelector,
  MapFunction,
  OnError,
  OperatorFunctions,
  OutputTag,
  ReduceFunction,
  UserFunction,
} from '../../core/operators.ts';
import type { JsonObject } from '../../core/plain-data.ts';
import type { StateDeclarations } from '../../core/state/declarations.ts';
import type { WindowDefinition } from '../../core/windows.ts';
import { collectSink } from '../sinks/collect.ts';
import { printSink } from '../sinks/print.ts';
import { aggregatesConfig } from './aggregates-config.ts';
import { checkCount, checkDuration, checkFunction, checkId, checkName, checkUserFunction } from './checks.ts';
import {
  type LogicalGraph,
  type LogicalNode,
  lateTag,
  type RequestedPartitioner,
  type StreamEnd,
} from '../plan/logical-graph.ts';
import { processConfig } from './process-config.ts';
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
import { checkIncremental, checkLateness, checkLateOutput, gapFunction } from './window-checks.ts';
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
    if (this.ends.some((end) => end.partitioner !== 'auto')) {
      throw new EngineError(
        'JOB_INVALID',
        'keyBy decides where records go; remove rebalance() or broadcast() before it',
      );
    }
    return new KeyedStreamOfEnds(this.graph, withPartitioner(this.ends, 'hash'), keyOf);
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
    return new StreamOfEnds(this.graph, withPartitioner(this.ends, 'rebalance'));
  }

  broadcast(): Stream<T> {
    return new StreamOfEnds(this.graph, withPartitioner(this.ends, 'broadcast'));
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
    this.#node.change().name = checkName(name, 'name');
    return this;
  }

  parallelism(subtaskCount: number): this {
    this.#node.change().parallelism = checkCount(subtaskCount, 'parallelism');
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
    this.#node.change().name = checkName(name, 'name');
    return this;
  }

  parallelism(subtaskCount: number): this {
    this.#node.change().parallelism = checkCount(subtaskCount, 'parallelism');
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
    checkLateOutput(this.#node);
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

  reduce(reduce: ReduceFunction<T>): OperatorStream<T> {
    // A function that takes and returns T has no common supertype but this one; the runtime only ever gives it its own records.
    const erased = checkFunction(reduce, 'reduce') as unknown as ReduceFunction<never>;
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
    checkLateness(this.#window, allowedLatenessMs);
    return new WindowedStreamOfEnds(this.#graph, this.#ends, this.#keyOf, this.#window, allowedLatenessMs);
  }

  aggregate<const Set extends AggregateSet<Readonly<T>>>(aggregates: Set): WindowStream<WindowResult<K, Set>, T> {
    checkIncremental(this.#window);
    const config = {
      window: windowConfig(this.#window),
      allowedLatenessMs: this.#allowedLatenessMs,
      aggregates: aggregatesConfig(aggregates, ['key', 'windowStart', 'windowEnd']),
    };
    const functions = {
      kind: 'window-aggregate',
      keyOf: this.#keyOf,
      aggregates,
      ...gapFunction(this.#window),
    } as const;
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
    this.#side = withPartitioner(side, 'broadcast');
    this.#build = build;
  }

  map<Out>(map: (value: Readonly<T>, side: Side) => Out): OperatorStream<Out> {
    checkFunction(map, 'broadcastInput(...).map');
    return this.#operator(namedAfter(map, (value: T, side: Side): readonly Out[] => [map(value, side)]));
  }

  filter(predicate: (value: Readonly<T>, side: Side) => boolean): OperatorStream<T> {
    checkFunction(predicate, 'broadcastInput(...).filter');
    return this.#operator(
      namedAfter(predicate, (value: T, side: Side): readonly T[] => (predicate(value, side) ? [value] : nothing)),
    );
  }

  flatMap<Out>(flatMap: (value: Readonly<T>, side: Side) => Iterable<Out>): OperatorStream<Out> {
    return this.#operator(checkFunction(flatMap, 'broadcastInput(...).flatMap'));
  }

  #operator<Out>(flatMap: (value: T, side: Side) => Iterable<Out>): OperatorStream<Out> {
    const main = this.#main.map((end) => ({ ...end, input: 0 }));
    const side = this.#side.map((end) => ({ ...end, input: 1 }));
    const functions = {
      kind: 'broadcast-input',
      build: this.#build as (records: readonly never[]) => unknown,
      flatMap,
    } as const;
    const node = this.#graph.add({ kind: 'broadcast-input', inputs: [...main, ...side], functions, config: {} });
    return new StreamOfNode<Out, T>(this.#graph, node);
  }
}

const nothing: readonly never[] = Object.freeze([]);

/** Lets a wrapper print as the user's function, so that its fingerprint changes with the user's code. */
function namedAfter<F extends (...values: never[]) => unknown>(user: (...values: never[]) => unknown, wrapper: F): F {
  Object.defineProperty(wrapper, 'toString', { value: () => Function.prototype.toString.call(user) });
  return wrapper;
}

function setUid(node: LogicalNode, id: string): void {
  node.change().uid = checkId(id, 'uid');
}

function withPartitioner(ends: readonly StreamEnd[], partitioner: RequestedPartitioner): StreamEnd[] {
  return ends.map((end) => ({ ...end, partitioner }));
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
