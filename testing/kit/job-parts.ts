/**
 * Makes a job testable without touching it: finds its sources and sinks by the names its author gave them, and puts scripts
 * and captures in their places. Everything between is the job's own.
 */
import { nearestName } from '../../core/nearest-name.ts';
import { EngineError } from '../../core/errors.ts';
import type { JobDefinition, PlannedJob, PlanOptions } from '../../core/graph/job-definition.ts';
import type { OperatorNode } from '../../core/graph/job-graph.ts';
import type { OperatorFunctions } from '../../core/operators.ts';
import type { CapturedOutputs } from './capture-sink.ts';
import type { JobInput } from './inputs.ts';
import { scriptOf } from './inputs.ts';
import { type Portions, ScriptPlayer } from './script-source.ts';

/** Values of a job's parameters, as its author declared them; texts are taken as on the command line. */
export type JobParameters = Readonly<Record<string, string | number | boolean>>;

/** What a job is planned with in a test. */
export interface PlanSettings {
  readonly parameters?: JobParameters;
  readonly parallelism?: number;
}

/** The operators of a kind, with every name they may be called by. */
export interface Named {
  readonly node: OperatorNode;
  readonly names: readonly string[];
}

/** @throws EngineError JOB_INVALID, PARAMETER_INVALID */
export function planForTest(job: JobDefinition, settings: PlanSettings): PlannedJob {
  const texts = Object.entries(settings.parameters ?? {}).map(([name, value]) => [name, String(value)] as const);
  const options: PlanOptions = {
    arguments: Object.fromEntries(texts),
    environment: {},
    ...(settings.parallelism === undefined ? {} : { parallelism: settings.parallelism }),
  };
  const planned = job.plan(options);
  // A batch leaves when the subtask has nothing to do, never by the clock: a test must not depend on how fast it runs.
  const graph = { ...planned.graph, options: { ...planned.graph.options, bufferTimeoutMs: Number.POSITIVE_INFINITY } };
  return { ...planned, graph };
}

export const sourcesOfJob = (job: PlannedJob): Named[] => named(job, 'source-reader', 'source');
export const sinksOfJob = (job: PlannedJob): Named[] => named(job, 'sink-writer', 'sink');

function named(job: PlannedJob, kind: OperatorNode['kind'], connector: 'source' | 'sink'): Named[] {
  const nodes = job.graph.vertices.flatMap((vertex) => vertex.operators).filter((node) => node.kind === kind);
  return nodes.map((node) => {
    const options = node.config['options'] as { readonly name?: unknown } | undefined;
    const channel = node.config[connector] === 'collect' && typeof options?.name === 'string' ? [options.name] : [];
    return { node, names: [node.id, node.name, ...channel] };
  });
}

/**
 * The operator called so.
 * @throws EngineError JOB_INVALID when there is none, or several, with the names there are
 */
export function findNamed(all: readonly Named[], name: string, what: 'source' | 'sink'): OperatorNode {
  const exact = all.find(({ node }) => node.id === name);
  if (exact !== undefined) return exact.node;
  const found = all.filter(({ names }) => names.includes(name));
  if (found.length === 1) return (found[0] as Named).node;
  const ids = all.map(({ node }) => `'${node.id}'`).join(', ');
  if (found.length > 1)
    throw invalid(
      `${found.length} ${what}s are called '${name}': say which by its id, one of ${ids}, or give each a uid`,
    );
  const near = nearestName(
    name,
    all.flatMap(({ names }) => names),
  );
  throw invalid(
    `the job has no ${what} '${name}'${near === null ? '' : `, did you mean '${near}'?`} It has ${ids || 'none'}`,
  );
}

/** Scripts of a test by source id. */
export type Players = ReadonlyMap<string, ScriptPlayer>;

/**
 * The inputs as scripts, in the order they were given.
 * @param held scripts wait to be released stretch by stretch
 * @throws EngineError JOB_INVALID for an input of no source, and for a source without an input that reads outside data
 */
export function playersOf(job: PlannedJob, inputs: Readonly<Record<string, JobInput>>, held: boolean): Players {
  const sources = sourcesOfJob(job);
  const players = new Map<string, ScriptPlayer>();
  for (const [name, input] of Object.entries(inputs)) {
    const { id } = findNamed(sources, name, 'source');
    if (players.has(id)) throw invalid(`source '${id}' is given two inputs: '${name}' is another name of it`);
    players.set(id, new ScriptPlayer(scriptOf(name, input), held));
  }
  const missing = sources.filter(({ node }) => !players.has(node.id) && node.config['source'] !== 'collection');
  if (missing.length > 0) {
    const ids = missing.map(({ node }) => `'${node.id}' (${String(node.config['source'])})`).join(', ');
    throw invalid(
      `no input for ${ids}: a test reads nothing outside; give inputs: { '${missing[0]?.node.id}': [...] }`,
    );
  }
  return players;
}

/** The job with scripts for sources and captures for sinks. */
export function withTestEnds(
  job: PlannedJob,
  players: Players,
  captured: CapturedOutputs,
  portions: Portions,
): PlannedJob {
  const functions = new Map<string, OperatorFunctions>();
  const plannerOf = new Map([...players].map(([id, player]) => [id, player.source(portions)]));
  for (const edge of job.graph.edges) {
    const source = plannerOf.get(edge.targetVertex);
    if (source !== undefined) plannerOf.set(edge.sourceVertex, source);
  }
  for (const [id, own] of job.functions) functions.set(id, replaced(job, id, own, plannerOf, captured));
  return { ...job, functions };
}

function replaced(
  job: PlannedJob,
  id: string,
  own: OperatorFunctions,
  sources: ReadonlyMap<string, ReturnType<ScriptPlayer['source']>>,
  captured: CapturedOutputs,
): OperatorFunctions {
  if (own.kind === 'source-planner' || own.kind === 'source-reader')
    return { ...own, source: (sources.get(id) ?? own.source) as typeof own.source };
  if (own.kind === 'sink-writer') return { ...own, sink: captured.sink(id, own.sink) };
  if (own.kind !== 'sink-committer') return own;
  const writer = job.graph.edges.find((edge) => edge.targetVertex === id);
  const vertex = job.graph.vertices.find((candidate) => candidate.id === writer?.sourceVertex);
  const writerId = vertex?.operators[writer?.sourceOperatorIndex ?? 0]?.id ?? id;
  return { ...own, sink: captured.sink(writerId, own.sink) };
}

const invalid = (message: string): EngineError => new EngineError('JOB_INVALID', message);
