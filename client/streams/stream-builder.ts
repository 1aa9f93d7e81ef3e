/**
 * The implementation of `Stream`: every call adds a node to the logical graph and wraps it. Nothing here decides anything
 * about chains or ids. What a call does with its arguments is in a file by notion: `keyed-builder.ts`, `windowed-builder.ts`,
 * `connected-builder.ts`, `side-input-builder.ts`, `changelog-builder.ts`, `async-config.ts`.
 */
import { type Change, type ChangeKind, mergedMode } from '../../core/changelog.ts';
import type { Sink, SinkLike } from '../../core/connector/index.ts';
import { EngineError } from '../../core/errors.ts';
import type {
  AsyncFunction,
  FilterFunction,
  FlatMapFunction,
  Key,
  MapFunction,
  OnError,
  OperatorFunctions,
  OutputTag,
  PartitionFunction,
  ProcessFunction,
  UserFunction,
} from '../../core/operators.ts';
import type { JsonObject } from '../../core/plain-data.ts';
import type { OperatorStateDeclarations } from '../../core/state/operator-state.ts';
import type { WindowDefinition } from '../../core/windows.ts';
import { modeOfEnd } from '../plan/changelog-modes.ts';
import { type LogicalGraph, type LogicalNode, lateSecondTag, lateTag, type StreamEnd } from '../plan/logical-graph.ts';
import { collectSink } from '../sinks/collect.ts';
import { collectTableSink } from '../sinks/collect-table.ts';
import { printSink } from '../sinks/print.ts';
import { asyncParts } from './async-config.ts';
import type { AsyncOptions } from './async-types.ts';
import { addStream, type BuildSite, endsOf, isBroadcast, type NodeParts, StreamEnds } from './build-site.ts';
import { toChangelogParts, upsertsParts } from './changelog-builder.ts';
import type { ChangelogStream, CollectOptions, IntervalJoinStream, ToChangelogOptions } from './changelog-types.ts';
import { checkFunction, checkId, checkUserFunction } from './checks.ts';
import { connectBroadcast, connectStreams } from './connected-builder.ts';
import type { BroadcastStream } from './connected-types.ts';
import { keyedStream } from './keyed-builder.ts';
import type { KeyedStream } from './keyed-types.ts';
import { NodeSettings } from './node-settings.ts';
import { customPartition, keyedEnds, spreadEnds } from './partitioners.ts';
import { plainProcessConfig } from './process-config.ts';
import { sideInput } from './side-input-builder.ts';
import type { SideInputStream } from './side-input-types.ts';
import type { OperatorStream, SinkHandle, SourceStream, Stream } from './stream-types.ts';
import type { RecordType } from './tags.ts';
import { planTime, type TimestampOptions } from './watermarks.ts';
import { checkLateOutput } from './window-checks.ts';
import type { CoGroupedStream, WindowedStream, WindowStream } from './window-types.ts';
import { windowedAllStream } from './windowed-builder.ts';

class StreamOfEnds<T> extends StreamEnds implements Stream<T> {
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
    return keyedStream(this.#read(keyedEnds(this.ends)), keyOf);
  }

  windowAll(window: WindowDefinition<T>): WindowedStream<T, 0> {
    return windowedAllStream(this.#read(keyedEnds(this.ends)), window);
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
    return this.#spread(ends);
  }

  broadcastInput<S, Side>(side: Stream<S>, build: (records: readonly S[]) => Side): SideInputStream<T, Side> {
    checkFunction(build, 'broadcastInput');
    return sideInput(this.site, endsOf(side, 'broadcastInput'), build);
  }

  rebalance(): Stream<T> {
    return this.#spread(spreadEnds(this.ends, 'rebalance'));
  }

  broadcast(): BroadcastStream<T> {
    return new BroadcastStreamOfEnds(this.#read(spreadEnds(this.ends, 'broadcast')));
  }

  // The overloads of the interface say what is connected to what; here the argument itself does.
  connect(other: unknown): never {
    const site = { ...this.site, second: endsOf(other, 'connect') };
    return (isBroadcast(other) ? connectBroadcast(site) : connectStreams(site)) as never;
  }

  process<Out, D extends OperatorStateDeclarations>(
    first: RecordType<Out> | ProcessFunction<T, Out, D>,
    second?: ProcessFunction<T, Out, D>,
  ): OperatorStream<Out> {
    const process = (second ?? first) as ProcessFunction<never, unknown, OperatorStateDeclarations>;
    return this.#operator({ kind: 'plain-process', process }, plainProcessConfig(process));
  }

  rescale(): Stream<T> {
    return this.#spread(spreadEnds(this.ends, 'rescale'));
  }

  shuffle(): Stream<T> {
    return this.#spread(spreadEnds(this.ends, 'shuffle'));
  }

  global(): Stream<T> {
    return this.#spread(spreadEnds(this.ends, 'global'));
  }

  forward(): Stream<T> {
    return this.#spread(spreadEnds(this.ends, 'forward'));
  }

  partitionCustom<K>(keyOf: (value: Readonly<T>) => K, partition: PartitionFunction<K>): Stream<T> {
    return this.#spread(spreadEnds(this.ends, 'custom', customPartition(keyOf, partition)));
  }

  asyncMap<Out>(call: UserFunction<AsyncFunction<T, Out>>, options: AsyncOptions<T, Out> = {}): OperatorStream<Out> {
    return this.#add(asyncParts(call, options, false));
  }

  asyncFlatMap<Out>(
    call: UserFunction<AsyncFunction<T, Iterable<Out>>>,
    options: AsyncOptions<T, Iterable<Out>> = {},
  ): OperatorStream<Out> {
    return this.#add(asyncParts(call, options, true));
  }

  toChangelog(kindOf: (value: Readonly<T>) => ChangeKind, options?: ToChangelogOptions): ChangelogStream<T> {
    return this.#add(toChangelogParts(kindOf, options));
  }

  changes(): OperatorStream<Change<T>> {
    return this.#operator({ kind: 'changes' });
  }

  fromUpserts<K extends Key>(
    keyOf: (value: Readonly<T>) => K,
    isDelete?: (value: Readonly<T>) => boolean,
  ): ChangelogStream<T> {
    const parts = upsertsParts(keyOf, isDelete, this.#isChangelog);
    return addStream<T, T>(this.#read(keyedEnds(this.ends)), parts);
  }

  to(sinkLike: SinkLike<T>): SinkHandle {
    const sink = checkSink(sinkLike);
    const node = this.site.graph.add({
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

  get #isChangelog(): boolean {
    return mergedMode(this.ends.map(modeOfEnd)) !== 'append';
  }

  #operator<Out>(functions: OperatorFunctions, config: JsonObject = {}): ChangelogStream<Out> {
    return this.#add({ functions, config });
  }

  #add<Out>(parts: NodeParts): ChangelogStream<Out> {
    return addStream<Out, T>(this.site, parts);
  }

  #read(ends: readonly StreamEnd[]): BuildSite {
    return { ...this.site, first: ends };
  }

  #spread(ends: readonly StreamEnd[]): Stream<T> {
    return new StreamOfEnds(this.#read(ends));
  }
}

/** A stream for every subtask of what follows. */
class BroadcastStreamOfEnds<T> extends StreamOfEnds<T> implements BroadcastStream<T> {
  override readonly broadcasts = true;
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
  readonly #settings: NodeSettings;

  constructor(graph: LogicalGraph, node: LogicalNode) {
    super(siteOf(graph, { node, tag: null, partitioner: 'auto' }));
    this.#node = node;
    this.#settings = new NodeSettings(node);
  }

  uid(id: string): this {
    this.#settings.uid(id);
    return this;
  }

  name(name: string): this {
    this.#settings.name(name);
    return this;
  }

  parallelism(subtaskCount: number): this {
    this.#settings.parallelism(subtaskCount);
    return this;
  }

  slotSharingGroup(group: string): this {
    this.#settings.slotSharingGroup(group);
    return this;
  }

  startNewChain(): this {
    this.#settings.startNewChain();
    return this;
  }

  disableChaining(): this {
    this.#settings.disableChaining();
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
    return this.#outputOf(tag.tag);
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
    return this.#outputOf(tag);
  }

  #outputOf<S>(tag: string): Stream<S> {
    return new StreamOfEnds(siteOf(this.site.graph, { node: this.#node, tag, partitioner: 'auto' }));
  }
}

function checkSink<T>(sinkLike: SinkLike<T>): Sink<T> {
  const candidate: unknown =
    typeof sinkLike === 'object' && sinkLike !== null && 'sink' in sinkLike ? sinkLike.sink : sinkLike;
  if (typeof candidate !== 'object' || candidate === null || (candidate as { type?: unknown }).type !== 'sink') {
    throw new EngineError('JOB_INVALID', "to(...) needs a sink, for example files.jsonl('out') of millrace/files");
  }
  return candidate as Sink<T>;
}

/** One output of a node as what the next call reads. */
function siteOf(graph: LogicalGraph, end: StreamEnd): BuildSite {
  return { graph, first: [end], second: [], streamOf: (node) => new StreamOfNode(graph, node) };
}

/** The stream of a source node. */
export function streamOfSource<T>(graph: LogicalGraph, node: LogicalNode): SourceStream<T> {
  return new StreamOfNode<T, T>(graph, node);
}
