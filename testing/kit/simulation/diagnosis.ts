/**
 * Who is at fault for a difference: the undisturbed run is watched, every function and every input, and so is the run that differs
 * when it is repeated. A function that went on differently in the same circumstances is at fault, with what it called outside as the
 * probable cause. When all functions are deterministic, the fault is with the order in which records came: the first operator,
 * in the direction of the stream, that got the same records and gave others.
 */
import { isEngineError } from '../../../core/errors.ts';
import type { PlannedJob } from '../../../core/graph/job-definition.ts';
import type { JobEdge, JobVertex } from '../../../core/graph/job-graph.ts';
import {
  type SimulatedJob,
  type RunWatch,
  type SimulatedOutcome,
  type SimulationSchedule,
  simulateRun,
} from './simulated-run.ts';
import type { FunctionDeviation, FunctionRecord } from './watched-functions.ts';

/** Why two runs can differ. */
export type DivergenceCause =
  | 'random number'
  | 'clock'
  | 'external call'
  | 'state outside of the job'
  | 'processing time'
  | 'watermark'
  | 'order of two inputs'
  /** Every operator got and gave the same records, in another order. */
  | 'order'
  | 'failure'
  | 'unknown';

/** Who is at fault and why. */
export interface Diagnosis {
  /** Id of the operator; null when none could be found. */
  readonly operator: string | null;
  readonly cause: DivergenceCause;
  /** What was seen, in words. */
  readonly explanation: string;
}

type Inputs = Map<string, Map<string, number>>;

/** The undisturbed run as it was seen: the first one, before anything outside of the job could have changed. */
export interface WatchedRun {
  readonly outcome: SimulatedOutcome;
  readonly inputs: Inputs;
  readonly record: FunctionRecord;
}

/** Runs with a watch on every function and every input. */
export async function watchedRun(
  job: SimulatedJob,
  schedule: SimulationSchedule,
  horizon: number,
  record: FunctionRecord,
  onOutside: RunWatch['onOutside'] = () => {},
): Promise<WatchedRun> {
  const inputs: Inputs = new Map();
  const outcome = await simulateRun(job, schedule, horizon, {
    record,
    onOutside,
    onInput: (operatorId, value) => {
      const seen = inputs.get(operatorId) ?? new Map<string, number>();
      inputs.set(operatorId, seen.set(value, (seen.get(value) ?? 0) + 1));
    },
  });
  return { outcome, inputs, record };
}

/**
 * Repeats a run that differs from the undisturbed one, with a watch.
 * @param sink id of the sink that differs, null when the run failed
 */
export async function diagnose(
  job: SimulatedJob,
  calm: WatchedRun,
  schedule: SimulationSchedule,
  horizon: number,
  sink: string | null,
): Promise<Diagnosis> {
  const { record } = calm;
  const disturbed = await watchedRun(job, schedule, horizon, record);
  const { planned } = calm.outcome;
  const nodes = planned.graph.vertices.flatMap((vertex) => vertex.operators);
  const order = nodes.filter(({ kind }) => kind !== 'sink-committer').map(({ id }) => id);
  const [deviation] = [...record.deviations].sort((a, b) => order.indexOf(a.operatorId) - order.indexOf(b.operatorId));
  if (deviation !== undefined) return ofDeviation(deviation);
  if (disturbed.outcome.failure !== null) return ofFailure(disturbed.outcome);
  return ofOrder(planned, order, calm.inputs, disturbed.inputs, record, schedule, sink);
}

function ofDeviation({ operatorId, member, record, before, now, notes }: FunctionDeviation): Diagnosis {
  const kinds = new Set(notes.values());
  const calls = [...notes.keys()].join(', ');
  const cause: DivergenceCause = kinds.has('random')
    ? 'random number'
    : kinds.has('clock')
      ? 'clock'
      : kinds.has('external')
        ? 'external call'
        : 'state outside of the job';
  const why =
    cause === 'state outside of the job'
      ? 'it called nothing outside: it keeps something in a variable of the module or a closure, or shares an object with another function'
      : `it called ${calls}`;
  const explanation = `${member} of '${operatorId}' first ${before} and then ${now}, given the same record ${short(record)} and the same state; ${why}`;
  return { operator: operatorId, cause, explanation };
}

function ofFailure({ failure }: SimulatedOutcome): Diagnosis {
  const operator = isEngineError(failure) ? failure.ids['operator'] : undefined;
  const message = failure instanceof Error ? failure.message : String(failure);
  return { operator: typeof operator === 'string' ? operator : null, cause: 'failure', explanation: message };
}

function ofOrder(
  planned: PlannedJob,
  order: readonly string[],
  calm: Inputs,
  disturbed: Inputs,
  record: FunctionRecord,
  schedule: SimulationSchedule,
  sink: string | null,
): Diagnosis {
  const changed = order.find((id) => !sameInputs(calm.get(id), disturbed.get(id), schedule.crashes > 0));
  const upstream = changed === undefined ? [] : upstreamOf(planned, changed);
  if (changed === undefined) return ofOrderAlone(planned, sink);
  // Only faults without which nothing differs are left: where the clock is one, who depends on it is at fault.
  const timed = schedule.clockJumps ? upstream.find((id) => usesProcessingTime(planned, id)) : undefined;
  const culprit = timed ?? upstream.find((id) => inputEdges(planned, id).length > 1) ?? upstream[0];
  if (culprit === undefined)
    return {
      operator: null,
      cause: 'unknown',
      explanation:
        'all functions did the same with the same records, and no operator gave others; please report this with the job',
    };
  const reads = record.contextReads.get(culprit) ?? new Set();
  const same = `'${culprit}' got the same records and gave others`;
  if (reads.has('processing time') || usesProcessingTime(planned, culprit))
    return {
      operator: culprit,
      cause: 'processing time',
      explanation: `${same}: its results depend on when records are processed`,
    };
  if (reads.has('watermark'))
    return {
      operator: culprit,
      cause: 'watermark',
      explanation: `${same}: it reads the watermark, which moves at other moments in each run`,
    };
  const edges = inputEdges(planned, culprit);
  if (edges.length > 1)
    return {
      operator: culprit,
      cause: 'order of two inputs',
      explanation: `${same}: it has ${edges.length} inputs, nothing is said of the order of their records, and its results depend on it`,
    };
  return {
    operator: culprit,
    cause: 'order of two inputs',
    explanation: `${same}: its records come from several subtasks or splits, nothing is said of the order between those, and its results depend on it`,
  };
}

/** Upstream of the sink, the operator nearest to it where records of several subtasks or streams meet. */
function ofOrderAlone(planned: PlannedJob, sink: string | null): Diagnosis {
  const waiting = sink === null ? [] : [sink];
  for (const seen = new Set(waiting); waiting.length > 0; ) {
    const id = waiting.shift() as string;
    const edges = inputEdges(planned, id);
    const merging = edges.find((edge) => edges.length > 1 || mergesOrders(planned, edge));
    if (merging !== undefined) return ofMerging(planned, id, edges, merging);
    const further = upstreamOf(planned, id).filter((upstream) => !seen.has(upstream));
    for (const upstream of further) seen.add(upstream);
    waiting.push(...further);
  }
  return {
    operator: sink,
    cause: 'order',
    explanation:
      'every operator got and gave the same records in another order, and none has more than one upstream; please report this with the job',
  };
}

function ofMerging(planned: PlannedJob, id: string, edges: readonly JobEdge[], merging: JobEdge): Diagnosis {
  const from = edges.length > 1 ? `${edges.length} inputs` : `several subtasks of '${upstreamOf(planned, id)[0]}'`;
  const remedy =
    merging.partitioner === 'hash'
      ? 'records of a key come in order only from one subtask upstream: key by it there too, or sort by time'
      : `key by what is to stay in order, in place of ${merging.partitioner}, or compare without order`;
  return {
    operator: id,
    cause: 'order',
    explanation: `every operator got and gave the same records in another order: '${id}' reads from ${from}, and nothing is said of the order between those; ${remedy}`,
  };
}

/** Several subtasks of one vertex write to a subtask of the other. */
function mergesOrders(planned: PlannedJob, edge: JobEdge): boolean {
  const source = planned.graph.vertices.find(({ id }) => id === edge.sourceVertex);
  const target = planned.graph.vertices.find(({ id }) => id === edge.targetVertex);
  if (source === undefined || source.operators[0]?.kind === 'source-planner') return false;
  const spreads = edge.partitioner === 'rebalance' || edge.partitioner === 'shuffle' || edge.partitioner === 'rescale';
  return edge.partitioner !== 'forward' && (source.parallelism > 1 || (spreads && (target?.parallelism ?? 1) > 1));
}

/** A crash repeats records: then only which ones there were is compared. */
function sameInputs(
  calm: Map<string, number> = new Map(),
  other: Map<string, number> = new Map(),
  repeats: boolean,
): boolean {
  if (calm.size !== other.size) return false;
  for (const [value, count] of calm) if (repeats ? !other.has(value) : other.get(value) !== count) return false;
  return true;
}

function vertexOf(planned: PlannedJob, operatorId: string): JobVertex | undefined {
  return planned.graph.vertices.find((vertex) => vertex.operators.some(({ id }) => id === operatorId));
}

function upstreamOf(planned: PlannedJob, operatorId: string): string[] {
  const vertex = vertexOf(planned, operatorId);
  const node = vertex?.operators.find(({ id }) => id === operatorId);
  if (vertex === undefined || node === undefined) return [];
  const chained = vertex.operators[node.upstreamIndex];
  if (chained !== undefined) return [chained.id];
  return inputEdges(planned, operatorId).flatMap((edge) => {
    const source = planned.graph.vertices.find(({ id }) => id === edge.sourceVertex);
    return source?.operators[edge.sourceOperatorIndex]?.id ?? [];
  });
}

/** Edges into the operator; none when it is chained. */
function inputEdges(planned: PlannedJob, operatorId: string): JobEdge[] {
  return planned.graph.edges.filter((edge) => edge.targetVertex === operatorId);
}

function usesProcessingTime(planned: PlannedJob, operatorId: string): boolean {
  const node = vertexOf(planned, operatorId)?.operators.find(({ id }) => id === operatorId);
  // Asynchronous calls have a timeout.
  return node?.kind === 'async-map' || JSON.stringify(node?.config ?? {}).includes('"processing"');
}

function short(value: unknown): string {
  const text =
    JSON.stringify(value, (_, item: unknown) => (typeof item === 'bigint' ? `${item}n` : item)) ?? String(value);
  return text.length <= 200 ? text : `${text.slice(0, 200)}…`;
}
