/**
 * `testOperator`: one operator by itself, taken from the call that makes it. Records, watermarks and processing time are put in
 * by hand, outputs, state and timers are looked at; it is restored at any parallelism. Runs on `../operator-harness.ts`.
 */
import { defineJob } from '../../client/job/define-job.ts';
import type { OperatorStream, Stream } from '../../client/streams/stream-types.ts';
import { collection } from '../../connectors/collection/index.ts';
import { decodeKey } from '../../core/codec/key-codec.ts';
import type { Sink } from '../../core/connector/index.ts';
import { EngineError } from '../../core/errors.ts';
import type { PlannedJob } from '../../core/graph/job-definition.ts';
import type { OperatorNode } from '../../core/graph/job-graph.ts';
import { type Key, keySelectorOf, type OperatorFunctions, type OutputTag } from '../../core/operators.ts';
import type { StateDeclarations } from '../../core/state/declarations.ts';
import { lateSecondTag, lateTag } from '../../client/plan/logical-graph.ts';
import { createOperator } from '../../runtime/operators/create-operator.ts';
import type { OperatorContext } from '../../runtime/operators/operator.ts';
import { SourceTime } from '../../runtime/time/split-time.ts';
import { timerStateName } from '../../runtime/time/timer-service.ts';
import { CheckpointImage, type InputRecord, OperatorHarness, type OutputRecord } from '../operator-harness.ts';
import type { CapturedRecord } from './capture-sink.ts';

/** Options of {@link testOperator}. */
export interface TestOperatorOptions {
  /** Where keyed state is kept; `cold` keeps as little as possible in memory. Default `memory`. */
  readonly backend?: 'memory' | 'cold';
  /** Subtasks; records go to the one that owns their key. Default 1. */
  readonly parallelism?: number;
  /** Processing time at the beginning, in ms since the epoch; default 0. */
  readonly startTimeMs?: number;
}

/** What comes with a record. */
export interface PushOptions {
  /** Event time in ms since the epoch. */
  readonly timestamp?: number;
  /** Watermark of the record's split, by which lateness is judged. Default: the watermark the operator has. */
  readonly splitWatermark?: number;
  /** 0 insert (default), 1 update-before, 2 update-after, 3 delete. */
  readonly rowKind?: 0 | 1 | 2 | 3;
}

/** A timer that is set. */
export interface PendingTimer {
  readonly key: Key;
  readonly timeMs: number;
  readonly domain: 'event' | 'processing';
}

/** Everything an operator keeps, taken by {@link OperatorTest.snapshot}. */
export interface OperatorSnapshot {
  readonly operator: string;
  /** Opaque: rows as a checkpoint has them. */
  readonly rows: readonly unknown[];
}

type Rows = CheckpointImage['rows'];
type Harness = OperatorHarness<OperatorFunctions['kind']>;

/** One operator under test. */
export interface OperatorTest<In, Out, Second = never> {
  /** Gives it a record of its input. @throws what the operator failed with */
  push(value: In, options?: PushOptions): Promise<void>;
  /** Gives it a record of its second input; every subtask gets one of a broadcast stream. */
  pushSecond(value: Second, options?: PushOptions): Promise<void>;
  /** Event time reaches `watermarkMs`, in both inputs: windows and timers up to there fire. */
  watermark(watermarkMs: number): Promise<void>;
  /** Processing time moves on; timers fire one after the other at their own time. */
  advanceProcessingTime(ms: number): Promise<void>;
  /** What came out of the main output and was not asked for yet. */
  outputs(): Out[];
  /** The same with event times and row kinds. */
  records(): CapturedRecord<Out>[];
  /** What came out of a side output and was not asked for yet. */
  sideOutput<T>(tag: OutputTag<T>): T[];
  /** Late records that were not asked for yet, of windows and interval joins; of two inputs those of the first. */
  late(): In[];
  /** Late records of the second input that were not asked for yet. */
  lateSecond(): Second[];
  /** Takes a checkpoint. */
  snapshot(): OperatorSnapshot;
  /** Goes on from a snapshot, as a new attempt does, also with another number of subtasks. What was not asked for is dropped. */
  restore(snapshot: OperatorSnapshot, options?: { readonly parallelism?: number }): Promise<void>;
  /**
   * What a declared state holds for a key: a value, an array, or a Map; undefined when nothing.
   * @throws EngineError JOB_INVALID when the operator declares no such state
   */
  state(name: string, key: Key): Promise<unknown>;
  /** Timers that are set, in the order they will fire, event time first. */
  timers(): PendingTimer[];
  /** Counters of the operator, `lateRecords` among them. */
  counters(): Record<string, number>;
  /** Closes it; functions get their `close`. */
  close(): Promise<void>;
}

/**
 * The operator that `build` makes, ready for records.
 * @param build one call on the stream it is given: `(stream) => stream.keyBy(..).process(..)`; a second stream is the other input
 * @throws EngineError JOB_INVALID when `build` makes no operator, or more than one
 */
export async function testOperator<In, Out, Second = never>(
  build: (stream: Stream<In>, second: Stream<Second>) => Stream<Out>,
  options: TestOperatorOptions = {},
): Promise<OperatorTest<In, Out, Second>> {
  const test = new OneOperator<In, Out, Second>(planOf(build), options);
  await test.open([], options.parallelism ?? 1);
  return test;
}

class OneOperator<In, Out, Second> implements OperatorTest<In, Out, Second> {
  readonly #node: OperatorNode;
  readonly #functions: OperatorFunctions;
  readonly #broadcastsSecond: boolean;
  readonly #options: TestOperatorOptions;
  #harnesses: Harness[] = [];
  #image: CheckpointImage;
  #checkpoints = 0;
  #nowMs: number;
  #watermarkMs = Number.NEGATIVE_INFINITY;
  readonly #taken = new Map<OutputRecord[], number>();

  constructor(planned: PlannedOperator, options: TestOperatorOptions) {
    this.#broadcastsSecond = planned.broadcastsSecond;
    this.#node = planned.node;
    this.#functions = planned.functions;
    this.#options = options;
    this.#nowMs = options.startTimeMs ?? 0;
    this.#image = this.#newImage();
  }

  async open(rows: Rows | null, parallelism: number): Promise<void> {
    this.#image = this.#newImage();
    if (rows !== null) this.#image.apply(rows);
    const opened = Array.from({ length: parallelism }, (_, subtaskIndex) =>
      this.#harness(this.#functions, { parallelism, subtaskIndex }, rows === null || rows.length === 0 ? null : rows),
    );
    this.#harnesses = await Promise.all(opened);
  }

  #newImage(): CheckpointImage {
    return new CheckpointImage({ mayRepeat: this.#options.backend === 'cold' });
  }

  async push(value: In, options: PushOptions = {}): Promise<void> {
    const record = this.#record(value, options);
    await this.#ownerOf(value, 0).process(record);
  }

  async pushSecond(value: Second, options: PushOptions = {}): Promise<void> {
    const record = this.#record(value, options);
    if (this.#harnesses[0]?.operator.emitSecond === undefined)
      throw invalid(`operator '${this.#node.id}' (${this.#node.kind}) has no second input: use push`);
    const owners = this.#broadcastsSecond ? this.#harnesses : [this.#ownerOf(value, 1)];
    for (const owner of owners) await owner.processSecond(record);
  }

  async watermark(watermarkMs: number): Promise<void> {
    if (Number.isNaN(watermarkMs) || watermarkMs < this.#watermarkMs)
      throw invalid(`watermark(${watermarkMs}): event time is at ${this.#watermarkMs} and does not go back`);
    this.#watermarkMs = watermarkMs;
    for (const harness of this.#harnesses)
      while (!(await harness.watermark(watermarkMs))) harness.room = Number.POSITIVE_INFINITY;
  }

  async advanceProcessingTime(ms: number): Promise<void> {
    if (!(ms >= 0)) throw invalid(`advanceProcessingTime(${ms}): time does not go back; give 0 ms or more`);
    const untilMs = this.#nowMs + ms;
    for (;;) {
      const nextMs = Math.min(...this.#harnesses.map((harness) => harness.wakeAtMs));
      if (nextMs > untilMs) break;
      await this.#reach(Math.max(nextMs, this.#nowMs));
    }
    await this.#reach(untilMs);
  }

  outputs(): Out[] {
    return this.records().map(({ value }) => value);
  }

  records(): CapturedRecord<Out>[] {
    return this.#take((harness) => harness.outputs) as CapturedRecord<Out>[];
  }

  sideOutput<T>(tag: OutputTag<T>): T[] {
    return this.#take((harness) => harness.side(tag.tag)).map(({ value }) => value as T);
  }

  late(): In[] {
    return this.#take((harness) => harness.side(lateTag)).map(({ value }) => value as In);
  }

  lateSecond(): Second[] {
    return this.#take((harness) => harness.side(lateSecondTag)).map(({ value }) => value as Second);
  }

  snapshot(): OperatorSnapshot {
    this.#checkpoint();
    return { operator: this.#node.kind, rows: this.#image.rows };
  }

  async restore(snapshot: OperatorSnapshot, options: { readonly parallelism?: number } = {}): Promise<void> {
    if (snapshot.operator !== this.#node.kind)
      throw invalid(`a snapshot of a '${snapshot.operator}' does not fit a '${this.#node.kind}'`);
    const parallelism = options.parallelism ?? this.#harnesses.length;
    await this.close();
    this.#taken.clear();
    this.#watermarkMs = Number.NEGATIVE_INFINITY;
    await this.open(snapshot.rows as Rows, parallelism);
  }

  async state(name: string, key: Key): Promise<unknown> {
    const functions = this.#functions;
    const declared = functionOf(functions).state ?? {};
    if (!Object.hasOwn(declared, name)) {
      const names = Object.keys(declared).map((one) => `'${one}'`);
      throw invalid(
        `operator '${this.#node.id}' declares no state '${name}': it has ${names.length === 0 ? 'no declared state, look at its outputs' : names.join(', ')}`,
      );
    }
    this.#checkpoint();
    let found: unknown;
    const look = (_: unknown, context: { state: Record<string, unknown> }): void => {
      found = contentOf(context.state[name]);
    };
    // Whatever kind of function it is, its first input looks; nothing else of it runs.
    const process = { ...functionOf(functions), onRecord: look, onFirst: look, open: undefined, close: undefined };
    const probe = { ...functions, keyOf: () => key, process } as unknown as OperatorFunctions;
    // A second operator reads the rows: what is looked at is not touched, and rows are read by the code that wrote them.
    const reader = await this.#harness(probe, { parallelism: 1, subtaskIndex: 0 }, this.#image.rows, 'memory');
    await reader.process({ value: undefined });
    await reader.operator.close();
    return found;
  }

  timers(): PendingTimer[] {
    this.#checkpoint();
    const timers: PendingTimer[] = [];
    for (const domain of ['event', 'processing'] as const) {
      const rows = this.#image.rows.filter((row) => row.stateName === timerStateName(domain));
      const sorted = rows.sort((left, right) => Buffer.compare(left.key, right.key));
      for (const row of sorted) {
        const time = decodeKey(row.key);
        timers.push({ key: decodeKey(row.key, time.end).key, timeMs: time.key as number, domain });
      }
    }
    return timers;
  }

  counters(): Record<string, number> {
    const counters: Record<string, number> = { lateRecords: 0 };
    for (const { metrics } of this.#harnesses) {
      counters['lateRecords'] = (counters['lateRecords'] ?? 0) + metrics.lateRecords;
      for (const [name, value] of metrics.counters) counters[name] = (counters[name] ?? 0) + value;
    }
    return counters;
  }

  async close(): Promise<void> {
    for (const harness of this.#harnesses) await harness.operator.close();
    this.#harnesses = [];
  }

  #harness(
    functions: OperatorFunctions,
    place: { parallelism: number; subtaskIndex: number },
    restore: Rows | null,
    backend = this.#options.backend ?? 'memory',
  ): Promise<Harness> {
    const { id, config, tuning } = this.#node;
    return OperatorHarness.open<OperatorFunctions['kind']>({
      create: (context: OperatorContext<OperatorFunctions['kind']>) => createOperator(context, new SourceTime()),
      functions: functions as never,
      operatorId: id,
      config,
      ...(tuning === undefined ? {} : { tuning }),
      ...place,
      ...(restore === null ? {} : { restore }),
      backend,
      nowMs: this.#nowMs,
    });
  }

  #record(value: unknown, { timestamp, splitWatermark, rowKind }: PushOptions): InputRecord {
    const ownMs = splitWatermark ?? this.#watermarkMs;
    const isBehind = timestamp !== undefined && timestamp <= ownMs;
    return {
      value,
      ...(timestamp === undefined ? {} : { timestamp }),
      ...(isBehind ? { splitWatermark: ownMs } : {}),
      ...(rowKind === undefined ? {} : { rowKind }),
    };
  }

  #ownerOf(value: unknown, input: number): Harness {
    const [first] = this.#harnesses;
    if (first === undefined) throw invalid(`operator '${this.#node.id}' is closed: make a new one with testOperator`);
    const keyOf = keySelectorOf(this.#functions, input);
    if (keyOf === null) return first;
    const key = keyOf(value as never);
    return this.#harnesses.find((harness) => harness.owns(key)) ?? first;
  }

  async #reach(nowMs: number): Promise<void> {
    this.#nowMs = nowMs;
    for (const harness of this.#harnesses)
      while (!(await harness.processingTime(nowMs))) harness.room = Number.POSITIVE_INFINITY;
  }

  #checkpoint(): void {
    const checkpointId = ++this.#checkpoints;
    this.#image.apply(this.#harnesses.flatMap((harness) => harness.checkpoint(checkpointId)));
  }

  /** What came since the last call, subtask by subtask. */
  #take(of: (harness: Harness) => OutputRecord[]): CapturedRecord[] {
    return this.#harnesses.flatMap((harness) => {
      const all = of(harness);
      const from = this.#taken.get(all) ?? 0;
      this.#taken.set(all, all.length);
      return all.slice(from).map(({ value, timestamp, rowKind = 0 }) => {
        return { value, timestampMs: Number.isNaN(timestamp) ? null : timestamp, rowKind };
      });
    });
  }
}

/** The function object of operators that have one. */
const functionOf = (functions: OperatorFunctions): { readonly state?: StateDeclarations } =>
  (functions as { readonly process?: { readonly state?: StateDeclarations } }).process ?? {};

/** What a state handle holds, whatever kind it is. */
function contentOf(handle: unknown): unknown {
  const state = handle as {
    value?(): unknown;
    entries?(): Iterable<[unknown, unknown]>;
    get?(): unknown;
  };
  if (state.value !== undefined) return structuredClone(state.value());
  if (state.entries !== undefined) {
    const entries = new Map([...state.entries()].map(([key, value]) => [key, structuredClone(value)]));
    return entries.size === 0 ? undefined : entries;
  }
  const content = state.get?.();
  const isList = typeof content === 'object' && content !== null && Symbol.iterator in content;
  return structuredClone(isList ? [...(content as Iterable<unknown>)] : content);
}

/** Takes changes as well as records; planned with, never opened. */
const outputSink: Sink<unknown> = {
  type: 'sink',
  kind: 'outputs',
  accepts: 'retract',
  options: {},
  createWriter: () => {
    throw new EngineError('INTERNAL', 'testOperator opens no sink', { domain: 'internal' });
  },
  createCommitter: null,
  destination: null,
  occupation: () => Promise.resolve(null),
};

/** What windows, co-groups and interval joins have beside their results. */
interface LateStreams<First, Second> {
  late?(): OperatorStream<First>;
  lateFirst?(): OperatorStream<First>;
  lateSecond?(): OperatorStream<Second>;
}

interface PlannedOperator {
  readonly node: OperatorNode;
  readonly functions: OperatorFunctions;
  /** Records of the second input go to every subtask. */
  readonly broadcastsSecond: boolean;
}

/** The one operator between the streams given and the stream returned. */
function planOf<In, Out, Second>(build: (stream: Stream<In>, second: Stream<Second>) => Stream<Out>): PlannedOperator {
  const job = defineJob('operator-test', (env) => {
    const second = env.from(collection<Second>([]), { uid: 'second-input' });
    const stream = env.from(collection<In>([]), { uid: 'input' });
    const built = build(stream, second);
    if (typeof built !== 'object' || built === null || !('collect' in built))
      throw invalid(
        'testOperator: the function returns no stream; end it with the call to be tested: (stream) => stream.map(..)',
      );
    built.to(outputSink).uid('output');
    const { late, lateFirst, lateSecond } = built as LateStreams<In, Second>;
    (late ?? lateFirst)?.call(built).collect('late').uid('late-output');
    lateSecond?.call(built).collect('late-second').uid('late-second-output');
  });
  const planned = job.plan({});
  const ends = new Set<OperatorNode['kind']>(['source-planner', 'source-reader', 'sink-writer', 'sink-committer']);
  const nodes = planned.graph.vertices.flatMap((vertex) => vertex.operators).filter((node) => !ends.has(node.kind));
  const [node] = nodes;
  if (node === undefined || nodes.length > 1) {
    const what =
      node === undefined ? 'no operator' : `${nodes.length} operators (${nodes.map(({ id }) => id).join(', ')})`;
    throw invalid(
      `testOperator tests one operator, and the function makes ${what}: test them one by one, or together with runJob`,
    );
  }
  const broadcastsSecond = planned.graph.edges.some(
    (edge) => edge.targetVertex === node.id && edge.targetInput === 1 && edge.partitioner === 'broadcast',
  );
  return { node, functions: functionsOf(planned, node), broadcastsSecond };
}

function functionsOf(planned: PlannedJob, node: OperatorNode): OperatorFunctions {
  const functions = planned.functions.get(node.id);
  if (functions === undefined)
    throw new EngineError('INTERNAL', `no functions for '${node.id}'`, { domain: 'internal' });
  return functions;
}

const invalid = (message: string): EngineError => new EngineError('JOB_INVALID', message);
