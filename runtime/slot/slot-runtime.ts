/**
 * Everything that runs in one slot for one attempt: builds the subtasks of the slot's slice from graph and functions,
 * connects them, restores them, and relays control messages. Free of threads and sockets: those are handed in.
 */
import { noSecrets, type SecretLookup } from '../../core/security/secret.ts';
import { EngineError, withIds } from '../../core/errors.ts';
import type { JobEdge, JobGraph, JobVertex, OperatorNode } from '../../core/graph/job-graph.ts';
import { type KeyGroupRange, keyGroupRange } from '../../core/key-groups.ts';
import { keySelectorOf, type OperatorFunctions } from '../../core/operators.ts';
import type { Barrier } from '../../core/stream/batch.ts';
import { forEachRow, type RowBlock } from '../checkpoint/row-block.ts';
import { createOperator } from '../operators/create-operator.ts';
import {
  type AnyOperatorContext,
  type Collector,
  type Operator,
  type OperatorMetrics,
  RecordScope,
} from '../operators/operator.ts';
import type { ChannelWriter } from '../exchange/channel.ts';
import type { StateBackend } from '../state/backend.ts';
import type { InputChannel } from '../subtask/input-gate.ts';
import {
  createRecordWriter,
  discard,
  FanOutCollector,
  type RecordWriter,
  type WriterHost,
} from '../subtask/record-writer.ts';
import { emitPerRecordMaxBytes } from '../subtask/output-overrun.ts';
import { MetricsRows, metricsStateName } from '../subtask/metrics-rows.ts';
import { type ChainedOperator, Subtask, type SubtaskId } from '../subtask/subtask.ts';
import { valveLayout } from '../time/input-lineage.ts';
import { SlotAlignment } from '../time/slot-alignment.ts';
import { SourceTime } from '../time/split-time.ts';
import { ImmutabilityCheck } from './immutability-check.ts';
import { channelId, LocalChannels, localLimitsOf, type RemoteChannels, sourcesOf, targetsOf } from './channels.ts';
import { SnapshotEncoder, type SnapshotSink } from './snapshot-encoder.ts';
import { alarm, type Pulse, SlotLoop, type SubtaskLoop } from './slot-loop.ts';

export interface SlotPlacement {
  readonly slotIndex: number;
  readonly subtasks: readonly SubtaskId[];
}

/** What the slot tells the task manager. */
export interface SlotEvents {
  running(subtask: SubtaskId): void;
  inputEnded(subtask: SubtaskId): void;
  finished(subtask: SubtaskId): void;
  /** The attempt fails; called once. */
  failed(subtask: SubtaskId, error: unknown): void;
  log(level: 'info' | 'warn', message: string): void;
  deliver(channel: string, id: string, values: readonly unknown[]): void;
}

export interface SlotRuntimeOptions {
  readonly graph: JobGraph;
  readonly functions: ReadonlyMap<string, OperatorFunctions>;
  readonly attempt: number;
  /** Checkpoint the attempt starts from; null on a fresh start. */
  readonly restoredCheckpointId: number | null;
  readonly slotIndex: number;
  /** Where every subtask of the attempt runs. */
  readonly placements: readonly SlotPlacement[];
  /** Subtasks that were finished in the restored checkpoint: not started, their channels count as ended. */
  readonly finished: readonly SubtaskId[];
  readonly workingDirectory: string;
  /** Values of secrets that options refer to; none unless given. */
  readonly secretOf?: SecretLookup;
  readonly backend: StateBackend;
  readonly pulse: Pulse;
  readonly snapshotSink: SnapshotSink;
  readonly remote: RemoteChannels;
  readonly events: SlotEvents;
  readonly signal: AbortSignal;
  /** Most that one record may emit beyond the room there is; the engine's bound unless given. */
  readonly emitPerRecordMaxBytes?: number;
  /** Longest that one operator may take to close; the engine's limit unless given. */
  readonly closeTimeoutMs?: number;
  /** Fails the attempt when user code changes one of the first records that it was given or has emitted. */
  readonly checkImmutability?: boolean;
  /** Another loop than the slot's own, which turns with the event loop: for tests that decide the order. */
  createLoop?(encoder: SnapshotEncoder): SubtaskLoop;
  /** Told of every operator before it runs: for tests that look at what goes in. */
  onOperator?(link: ChainedOperator, subtask: SubtaskId): void;
  nowMs(): number;
}

export interface SubtaskMetricsSample {
  readonly subtask: SubtaskId;
  readonly recordsIn: number;
  readonly recordsOut: number;
  readonly lateRecords: number;
  readonly watermarkMs: number;
  readonly busyMs: number;
  readonly backPressuredMs: number;
  readonly idleMs: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly counters: Readonly<Record<string, number>>;
}

interface Placed {
  readonly subtask: Subtask;
  readonly place: number;
  readonly vertex: JobVertex;
  reportedRunning: boolean;
  readonly inputs: readonly InputChannel[];
  readonly outputs: readonly ChannelWriter[];
}

/** Records handed to sinks, among the counters of a subtask. */
export const recordsWrittenCounter = 'recordsWritten';

const idOf = (subtask: SubtaskId): string => `${subtask.vertexId}#${subtask.subtaskIndex}`;

export class SlotRuntime {
  /** How far the sources of this slot are, for sources elsewhere that wait for them, and the other way round. */
  readonly alignment = new SlotAlignment();
  readonly #options: SlotRuntimeOptions;
  readonly #encoder: SnapshotEncoder;
  readonly #loop: SubtaskLoop;
  readonly #local = new LocalChannels();
  readonly #placed: Placed[] = [];
  readonly #slotOf = new Map<string, number>();
  readonly #finishedAtStart: ReadonlySet<string>;
  readonly #immutability: ImmutabilityCheck | null;
  #finishedCount = 0;
  #failed = false;
  #opened = false;

  constructor(options: SlotRuntimeOptions) {
    this.#options = options;
    this.#encoder = new SnapshotEncoder(options.snapshotSink, (subtask, error) => this.#failSubtask(subtask, error));
    this.#immutability = options.checkImmutability === true ? new ImmutabilityCheck() : null;
    this.#loop = options.createLoop?.(this.#encoder) ?? new SlotLoop(this.#encoder, options.pulse, options.nowMs);
    this.#finishedAtStart = new Set(options.finished.map(idOf));
    for (const placement of options.placements) {
      for (const subtask of placement.subtasks) this.#slotOf.set(idOf(subtask), placement.slotIndex);
    }
    const mine = options.placements.find((placement) => placement.slotIndex === options.slotIndex);
    for (const subtask of mine?.subtasks ?? []) {
      if (!this.#finishedAtStart.has(idOf(subtask))) this.#build(subtask);
    }
  }

  /** Operators of this slot with the key groups whose rows they are restored from. */
  get restoreWanted(): { operatorId: string; keyGroups: KeyGroupRange[] }[] {
    return this.#placed.flatMap(({ subtask, vertex }) =>
      subtask.chain.map((link) => ({
        operatorId: link.operatorId,
        keyGroups: [this.#keyGroups(vertex, subtask.id.subtaskIndex)],
      })),
    );
  }

  /** Rows of a checkpoint, oldest file first. */
  restoreBlock(block: RowBlock): void {
    const { operatorId, stateName } = block;
    const links = this.#placed.flatMap(({ subtask }) => subtask.chain.filter((link) => link.operatorId === operatorId));
    const targets = links.map((link) => (stateName === metricsStateName ? link.metricsRows : link.operator));
    forEachRow(block.bytes, (keyGroup, key, value) => {
      for (const target of targets) target.restore({ stateName, keyGroup, key, value });
    });
  }

  /** Opens every subtask and starts the loop. */
  async open(): Promise<void> {
    for (const { subtask } of this.#placed) {
      try {
        await subtask.open();
      } catch (error) {
        subtask.fail(error);
        return;
      }
    }
    this.#opened = true;
    for (const placed of this.#placed) {
      this.#loop.wake(placed.place);
      this.#reportRunning(placed);
    }
    this.#loop.start();
  }

  /**
   * @param stop the job stops with this checkpoint: sources hand on nothing after its barrier
   * @param drain sources hand on nothing from now on, and end
   */
  trigger(barrier: Barrier, stop = false, drain = false): void {
    for (const { subtask, place } of this.#placed) {
      subtask.trigger(barrier, stop);
      if (drain) subtask.drain();
      this.#loop.wake(place);
    }
  }

  completed(checkpointId: number): void {
    for (const { subtask } of this.#placed) subtask.completed(checkpointId);
  }

  aborted(checkpointId: number): void {
    this.#encoder.abort(checkpointId);
    for (const { subtask } of this.#placed) subtask.aborted(checkpointId);
  }

  /** Processing time has moved other than by passing: for a virtual clock. */
  clockMoved(): void {
    this.#loop.clockMoved();
  }

  /** The store thread takes more rows. */
  creditArrived(): void {
    this.#loop.encodeSoon();
  }

  metrics(): SubtaskMetricsSample[] {
    return this.#placed.map(({ subtask, place, inputs, outputs }) => {
      const sum = { recordsIn: 0, recordsOut: 0, lateRecords: 0 };
      const counters: Record<string, number> = {};
      const { chain } = subtask;
      for (const link of chain) {
        sum.lateRecords += link.metrics.lateRecords;
        if (link.kind === 'sink-writer')
          counters[recordsWrittenCounter] = (counters[recordsWrittenCounter] ?? 0) + link.metrics.recordsOut;
        for (const [name, value] of link.metrics.counters) counters[name] = (counters[name] ?? 0) + value;
      }
      sum.recordsIn = subtask.recordsIn;
      sum.recordsOut = chain.reduce((total, link) => total + link.metrics.recordsOut, 0);
      const bytes = {
        bytesIn: inputs.reduce((total, { reader }) => total + (reader.bytesReceived ?? 0), 0),
        bytesOut: outputs.reduce((total, writer) => total + (writer.bytesSent ?? 0), 0),
      };
      const times = this.#loop.times(place);
      return { subtask: subtask.id, ...sum, ...bytes, watermarkMs: subtask.watermark, ...times, counters };
    });
  }

  /** Names a subtask by its place in the loop, for a watcher that saw it stuck. */
  describePlace(place: number): string {
    const subtask = this.#placed[place]?.subtask;
    return subtask === undefined ? 'unknown' : idOf(subtask.id);
  }

  async close(): Promise<void> {
    this.#loop.stop();
    await Promise.allSettled(this.#placed.map(({ subtask }) => subtask.close()));
    await this.#options.backend.close();
  }

  get allFinished(): boolean {
    return this.#finishedCount === this.#placed.length;
  }

  /** What a subtask keeps cannot be encoded: its fault, found while the slot encodes. */
  #failSubtask(id: SubtaskId, error: unknown): void {
    this.#placed.find(({ subtask }) => subtask.id === id)?.subtask.fail(error);
  }

  #keyGroups(vertex: JobVertex, subtaskIndex: number): KeyGroupRange {
    return keyGroupRange(this.#options.graph.options.maxParallelism, vertex.parallelism, subtaskIndex);
  }

  #build(id: SubtaskId): void {
    const { graph } = this.#options;
    const vertex = graph.vertices.find((candidate) => candidate.id === id.vertexId);
    if (vertex === undefined)
      throw new EngineError('INTERNAL', `no vertex '${id.vertexId}' in the job graph`, { domain: 'internal' });
    const place = this.#placed.length;
    const host = this.#host(place);
    const builder = new ChainBuilder(this.#options, vertex, id, host, this.alignment);
    const wake = () => this.#loop.wake(place);
    const outputs: ChannelWriter[] = [];
    const writers = graph.edges.flatMap((edge, index) =>
      edge.sourceVertex === vertex.id ? [{ edge, writer: this.#writer(builder, edge, index, id, wake, outputs) }] : [],
    );
    const chain = builder.build(writers);
    const inputsByEdge = graph.edges.flatMap((edge, index) =>
      edge.targetVertex === vertex.id ? [this.#inputs(edge, index, id, wake)] : [],
    );
    const subtask = new Subtask({
      id,
      host,
      scope: builder.scope,
      chain,
      inputs: inputsByEdge.flat(),
      valveLayout: valveLayout(
        graph,
        vertex.id,
        inputsByEdge.map((inputs) => inputs.length),
      ),
      writers: writers.map(({ writer }) => writer),
      bufferTimeoutMs: graph.options.bufferTimeoutMs,
      emitPerRecordMaxBytes: this.#options.emitPerRecordMaxBytes ?? emitPerRecordMaxBytes,
      ...(this.#options.closeTimeoutMs === undefined ? {} : { closeTimeoutMs: this.#options.closeTimeoutMs }),
    });
    builder.subtask = subtask;
    const fail = (error: unknown) => subtask.fail(error);
    for (const link of chain) this.#options.onOperator?.(link, id);
    for (const { operator, kind, operatorId } of chain)
      this.#immutability?.watchOperator(operator, kind, operatorId, fail);
    for (const { edge, writer } of writers) {
      const { kind, id: operatorId } = vertex.operators[edge.sourceOperatorIndex];
      this.#immutability?.watchOutput(writer, kind, operatorId, fail);
    }
    this.#loop.add(subtask);
    this.#placed.push({ subtask, place, vertex, reportedRunning: false, inputs: inputsByEdge.flat(), outputs });
  }

  #host(place: number) {
    const { events } = this.#options;
    return {
      wake: () => this.#loop.wake(place),
      wakeAt: (timestampMs: number) => this.#loop.wakeAt(place, timestampMs),
      nowMs: this.#options.nowMs,
      alarm,
      failed: (error: unknown) => {
        if (this.#failed) return;
        this.#failed = true;
        this.#loop.stop();
        events.failed(this.#placed[place].subtask.id, error);
      },
      inputEnded: () => events.inputEnded(this.#placed[place].subtask.id),
      finished: () => {
        this.#finishedCount++;
        this.#encoder.subtaskFinished(this.#placed[place].subtask.id);
        this.#loop.encodeSoon();
        events.finished(this.#placed[place].subtask.id);
      },
      snapshot: (snapshot: Parameters<SnapshotEncoder['add']>[0]) => {
        const live = this.#placed
          .filter(({ subtask }) => subtask.phase !== 'finished')
          .map(({ subtask }) => subtask.id);
        this.#encoder.add(snapshot, live);
        this.#loop.encodeSoon();
      },
      sideRead: () => this.#reportRunning(this.#placed[place]),
    };
  }

  #reportRunning(placed: Placed): void {
    if (placed.reportedRunning || !this.#opened || !placed.subtask.sidesRead) return;
    placed.reportedRunning = true;
    this.#options.events.running(placed.subtask.id);
  }

  /** @param outputs takes the channels that are made, too */
  #writer(
    builder: ChainBuilder,
    edge: JobEdge,
    edgeIndex: number,
    id: SubtaskId,
    wake: () => void,
    outputs: ChannelWriter[],
  ): RecordWriter {
    const { graph, functions } = this.#options;
    const targets = targetsOf(graph, edgeIndex, id.subtaskIndex).filter(
      (target) => !this.#finishedAtStart.has(idOf({ vertexId: edge.targetVertex, subtaskIndex: target })),
    );
    const context = builder.context(edge.sourceOperatorIndex);
    const channels = targets.map((target) => {
      const channel = channelId(graph, { edge: edgeIndex, sourceSubtask: id.subtaskIndex, targetSubtask: target });
      const slot = this.#slotOf.get(idOf({ vertexId: edge.targetVertex, subtaskIndex: target }));
      if (slot === this.#options.slotIndex) return this.#local.writer(channel, wake, localLimitsOf(graph, edgeIndex));
      return this.#options.remote.writer(slot as number, channel, context.node.id, wake);
    });
    outputs.push(...channels);
    const head = functions.get(edge.targetVertex);
    const keyOf = head === undefined ? null : keySelectorOf(head, edge.targetInput);
    // A sink's records out are those it wrote; its committables are none of them.
    const metrics = context.node.kind === 'sink-writer' ? { ...context.metrics, counters: new Map() } : context.metrics;
    const host = builder.writerHost(context.node.id, metrics);
    const partition = edge.partitionIndex === undefined ? undefined : head?.partitions?.[edge.partitionIndex];
    const custom = partition === undefined ? null : { ...partition, targetOperator: edge.targetVertex };
    return createRecordWriter(host, { partitioner: edge.partitioner, context, keyOf, custom, channels });
  }

  #inputs(edge: JobEdge, edgeIndex: number, id: SubtaskId, wake: () => void): InputChannel[] {
    const { graph } = this.#options;
    return sourcesOf(graph, edgeIndex, id.subtaskIndex).map((source) => {
      const path = { edge: edgeIndex, sourceSubtask: source, targetSubtask: id.subtaskIndex };
      const sourceId = idOf({ vertexId: edge.sourceVertex, subtaskIndex: source });
      const channel = channelId(graph, path);
      const slot = this.#slotOf.get(sourceId);
      const ended = this.#finishedAtStart.has(sourceId);
      const local = slot === this.#options.slotIndex || ended;
      const reader = local
        ? this.#local.reader(channel, wake, localLimitsOf(graph, edgeIndex))
        : this.#options.remote.reader(slot as number, channel, wake);
      return { reader, input: edge.targetInput, ended };
    });
  }
}

/** Builds the operators of one subtask from the end of the chain to its head, so each knows where its output goes. */
class ChainBuilder {
  readonly scope = new RecordScope();
  subtask: Subtask | null = null;
  readonly #options: SlotRuntimeOptions;
  readonly #vertex: JobVertex;
  readonly #id: SubtaskId;
  readonly #host: { wake(): void };
  readonly #contexts = new Map<number, MutableContext>();
  readonly #time: SourceTime;

  constructor(
    options: SlotRuntimeOptions,
    vertex: JobVertex,
    id: SubtaskId,
    host: { wake(): void },
    alignment: SlotAlignment,
  ) {
    this.#time = new SourceTime(alignment);
    this.#options = options;
    this.#vertex = vertex;
    this.#id = id;
    this.#host = host;
  }

  writerHost(operatorId: string, metrics: OperatorMetrics): WriterHost {
    const failed = () => this.subtask?.phase === 'failed';
    return {
      scope: this.scope,
      metrics,
      blockOutput: () => this.subtask?.blockOutput(),
      overran: (bytes) => void this.subtask?.overran(operatorId, bytes),
      fail: (error) => this.subtask?.fail(error),
      get failed() {
        return failed();
      },
    };
  }

  build(writers: readonly { edge: JobEdge; writer: RecordWriter }[]): ChainedOperator[] {
    const { operators } = this.#vertex;
    const built: (Operator | undefined)[] = operators.map(() => undefined);
    for (let index = operators.length - 1; index >= 0; index--) {
      const outputs = new Map<string | null, Collector[]>();
      operators.forEach((node, consumer) => {
        const operator = built[consumer];
        if (node.upstreamIndex === index && operator !== undefined) push(outputs, node.upstreamTag, operator);
      });
      for (const { edge, writer } of writers)
        if (edge.sourceOperatorIndex === index) push(outputs, edge.sourceTag, writer);
      const context = this.context(index);
      context.output = this.#collector(outputs.get(null));
      context.sideOutput = (tag) => this.#collector(outputs.get(tag));
      built[index] = createOperator(context, this.#time);
    }
    const { subtaskIndex } = this.#id;
    const { parallelism } = this.#vertex;
    return operators.map((node, index) => {
      const { metrics } = this.context(index);
      const metricsRows = new MetricsRows(metrics, { operatorId: node.id, subtaskIndex, parallelism });
      return { operatorId: node.id, kind: node.kind, operator: built[index] as Operator, metrics, metricsRows };
    });
  }

  #collector(collectors: readonly Collector[] | undefined): Collector {
    if (collectors === undefined || collectors.length === 0) return discard;
    return collectors.length === 1 ? collectors[0] : new FanOutCollector(collectors, this.scope);
  }

  /** The context of an operator of the chain; its outputs are filled in by `build`. */
  context(index: number): MutableContext {
    const known = this.#contexts.get(index);
    if (known !== undefined) return known;
    const context = this.#makeContext(this.#vertex.operators[index]);
    this.#contexts.set(index, context);
    return context;
  }

  #makeContext(node: OperatorNode): MutableContext {
    const { graph, functions, attempt, workingDirectory, backend, signal, events, nowMs } = this.#options;
    const { subtaskIndex } = this.#id;
    const own = functions.get(node.id);
    if (own === undefined || own.kind !== node.kind) {
      const message = `the job definition built no '${node.kind}' operator '${node.id}' when it ran again: a definition must give the same graph every time`;
      throw new EngineError('JOB_NOT_DETERMINISTIC', message, { ids: { operator: node.id } });
    }
    return {
      jobName: graph.name,
      node,
      functions: own,
      subtaskIndex,
      parallelism: this.#vertex.parallelism,
      attempt,
      restoredCheckpointId: this.#options.restoredCheckpointId,
      maxParallelism: graph.options.maxParallelism,
      keyGroups: keyGroupRange(graph.options.maxParallelism, this.#vertex.parallelism, subtaskIndex),
      workingDirectory,
      scope: this.scope,
      output: discard,
      sideOutput: () => discard,
      backend,
      metrics: { recordsIn: 0, recordsOut: 0, lateRecords: 0, counters: new Map() },
      signal,
      secretOf: this.#options.secretOf ?? noSecrets,
      nowMs,
      hasRoom: () => this.subtask?.hasRoom() ?? false,
      blockOutput: () => this.subtask?.blockOutput(),
      overran: (bytes) => this.subtask?.overran(node.id, bytes) ?? false,
      wake: () => this.#host.wake(),
      wakeAt: (timestampMs) => this.subtask?.wakeAt(timestampMs),
      fail: (error) => this.subtask?.fail(withIds(error, { operator: node.id })),
      log: (level, message) => events.log(level, `${node.id}: ${message}`),
      deliver: (channel, id, values) => events.deliver(channel, id, values),
    };
  }
}

type MutableContext = { -readonly [Name in keyof AnyOperatorContext]: AnyOperatorContext[Name] };

function push(outputs: Map<string | null, Collector[]>, tag: string | null, collector: Collector): void {
  const list = outputs.get(tag);
  if (list === undefined) outputs.set(tag, [collector]);
  else list.push(collector);
}
