/**
 * Public entry `millrace`: everything a job file imports.
 */
export { defineJob, type JobEnvironment, planJob, type SourceOptions } from './job/define-job.ts';
export type { JobSettings } from './job/job-settings.ts';
export { type Duration, days, hours, milliseconds, minutes, seconds } from './durations.ts';
export {
  type Parameter,
  type ParameterKind,
  type ParameterOptions,
  type ParameterSchema,
  type ParameterValues,
  params,
} from './parameters/parameter-types.ts';
export type {
  ChangelogStream,
  CollectOptions,
  DedupOptions,
  IntervalJoinOptions,
  IntervalJoinStream,
  JoinedFirst,
  JoinedSecond,
  JoinOptions,
  JoinType,
  RankedRecord,
  ToChangelogOptions,
  UpdatingAggregateOptions,
  UpdatingTopNOptions,
} from './streams/changelog-types.ts';
export type { FunctionObject, ReduceObject } from './streams/function-types.ts';
export type { KeyedResult, KeyedStream } from './streams/keyed-types.ts';
export type { SideInputStream } from './streams/side-input-types.ts';
export type { OperatorSettings, OperatorStream, SinkHandle, SourceStream, Stream } from './streams/stream-types.ts';
export type { AsyncOptions, AsyncRetry } from './streams/async-types.ts';
export {
  type AlignmentOptions,
  bounded,
  customWatermarks,
  monotonous,
  noWatermarks,
  punctuated,
  type TimeSettings,
  type TimestampOptions,
} from './streams/watermarks.ts';
export type {
  CoGroupedStream,
  GeneralWindowedStream,
  WindowedStream,
  WindowJoinOptions,
  WindowResult,
  WindowStream,
} from './streams/window-types.ts';
export { countEvictor, deltaEvictor, type EvictorOptions, timeEvictor } from './windows/evictors.ts';
export {
  continuousEventTime,
  continuousProcessingTime,
  countTrigger,
  deltaTrigger,
  eventTimeTrigger,
  neverTrigger,
  processingTimeTrigger,
  purging,
} from './windows/triggers.ts';
export type {
  BroadcastConnectedStream,
  BroadcastStream,
  ConnectedStream,
  KeyedBroadcastConnectedStream,
  KeyedConnectedStream,
  NoState,
} from './streams/connected-types.ts';
export { emits, type FailedRecord, outputTag, type RecordType, sideOutput } from './streams/tags.ts';
export {
  type AlignedWindowOptions,
  countWindow,
  globalWindow,
  session,
  type SessionWindowOptions,
  sliding,
  tumbling,
} from './streams/windows.ts';
export { type AggregateDefinition, aggregateOf } from './aggregates/aggregate-of.ts';
export { countDistinct } from './aggregates/count-distinct.ts';
export { filtered } from './aggregates/filtered.ts';
export { first, last } from './aggregates/first-last.ts';
export { avg, count, max, min, sum } from './aggregates/numeric.ts';
export { quantile } from './aggregates/quantile.ts';
export { quantileSketch } from './aggregates/quantile-sketch.ts';
export { topN, type TopNOptions } from './aggregates/top-n.ts';
export { renderPlan } from './plan/render-plan.ts';

export type {
  Aggregate,
  AggregateResults,
  AggregateSet,
  NumericAggregate,
  NumericAggregateKind,
  ObjectAggregate,
} from '../core/aggregate.ts';
export type { Change, ChangeKind, ChangelogMode } from '../core/changelog.ts';
export {
  EngineError,
  type EngineErrorOptions,
  type ErrorCode,
  type ErrorDomain,
  isEngineError,
} from '../core/errors.ts';
export {
  describeFunctionDifference,
  describeGraphDifference,
  describeParameterDifference,
  type FunctionsFingerprint,
  functionsFingerprint,
  graphHash,
} from '../core/graph/graph-hash.ts';
export {
  isJobDefinition,
  type JobDefinition,
  type PlannedJob,
  type PlanOptions,
} from '../core/graph/job-definition.ts';
export type {
  ChainingHint,
  JobEdge,
  JobGraph,
  JobOptions,
  JobVertex,
  OperatorNode,
  Partitioner,
  RestartStrategyOptions,
} from '../core/graph/job-graph.ts';
export type {
  AsyncCallContext,
  AsyncFunction,
  BroadcastContext,
  BroadcastProcessFunction,
  CoProcessFunction,
  FilterFunction,
  FlatMapFunction,
  FunctionContext,
  IntervalJoinContext,
  Key,
  KeyedBroadcastContext,
  KeyedBroadcastProcessFunction,
  KeyedBroadcastTimerContext,
  KeyedBroadcastWriteContext,
  KeyedCoProcessFunction,
  KeyedProcessFunction,
  KeyPrimitive,
  MapFunction,
  OnError,
  OperatorKind,
  OutputTag,
  PartitionFunction,
  PlainBroadcastContext,
  PlainProcessContext,
  ProcessContext,
  ProcessFunction,
  ReduceFunction,
  TimerContext,
  TimerRegistry,
} from '../core/operators.ts';
export type {
  BoundedWatermarks,
  CustomWatermarks,
  NoWatermarks,
  PunctuatedWatermarks,
  WatermarkGenerator,
  WatermarkStrategy,
} from '../core/watermarks.ts';
export type {
  CoGroupFunction,
  EvictorContext,
  TriggerContext,
  TriggerMergeContext,
  TriggerResult,
  WindowBounds,
  WindowContext,
  WindowElement,
  WindowEvictor,
  WindowFunction,
  WindowInfo,
  WindowJoinType,
  WindowTrigger,
} from '../core/window-functions.ts';
export type {
  CountWindows,
  GlobalWindows,
  SessionWindows,
  SlidingWindows,
  TumblingWindows,
  WindowDefinition,
  WindowTime,
} from '../core/windows.ts';
export type {
  BroadcastState,
  BroadcastStateDeclarations,
  BroadcastStates,
  ReadonlyBroadcastState,
  ReadonlyBroadcastStates,
} from '../core/state/broadcast-state.ts';
export {
  type OperatorListState,
  type OperatorListStateDeclaration,
  operatorListState,
  type OperatorStateDeclarations,
  type OperatorStateHandles,
  type OperatorStateMode,
} from '../core/state/operator-state.ts';
export {
  type AggregatingState,
  type AggregatingStateDeclaration,
  aggregatingState,
  type ListState,
  type ListStateDeclaration,
  listState,
  type MapState,
  type MapStateDeclaration,
  mapState,
  type ReducingState,
  type ReducingStateDeclaration,
  reducingState,
  type StateDeclaration,
  type StateDeclarations,
  type StateHandle,
  type StateHandles,
  type StateKind,
  type StateOptions,
  type ValueState,
  type ValueStateDeclaration,
  valueState,
} from '../core/state/declarations.ts';
