/**
 * From logical nodes to a job graph: ids, parallelism, checks, then chains. An operator joins the vertex of its upstream
 * when one forward edge of equal parallelism feeds it and it needs neither a key nor a second input; everything else
 * starts a vertex. Nodes come in definition order, each after its inputs, so vertices come out in topological order.
 *
 * Pure and deterministic: a slot plans the same definition again and must find the same operators.
 */
import type { PlannedJob } from '../../core/graph/job-definition.ts';
import {
  type JobEdge,
  type JobGraph,
  jobGraphFormatVersion,
  type JobOptions,
  type JobVertex,
  type OperatorNode,
  type Partitioner,
} from '../../core/graph/job-graph.ts';
import type { OperatorFunctions, OperatorKind } from '../../core/operators.ts';
import type { JsonObject } from '../../core/plain-data.ts';
import { checkGraph, graphWarnings, isStateful } from './check-graph.ts';
import { modeOfInputs } from './changelog-modes.ts';
import { type LogicalGraph, type LogicalInput, type LogicalNode, lateTag, lateTags } from './logical-graph.ts';
import { assignIds, committerId, plannerId } from './operator-ids.ts';

/** @throws EngineError JOB_INVALID naming what cannot be planned and the remedy */
export function planLogicalGraph(logical: LogicalGraph, options: JobOptions, parameters: JsonObject): PlannedJob {
  const ids = assignIds(logical);
  const parallelism = assignParallelism(logical, options.parallelism);
  checkGraph(logical, ids, parallelism, options.maxParallelism);
  const planner = new VertexPlanner(ids, parallelism);
  for (const node of logical.nodes) planner.place(node);
  const graph: JobGraph = {
    formatVersion: jobGraphFormatVersion,
    name: logical.jobName,
    parameters,
    options,
    vertices: planner.vertices.map(finishVertex),
    edges: planner.edges,
  };
  return { graph: deepFreeze(graph), functions: planner.functions, warnings: graphWarnings(logical, ids) };
}

/** Timestamps run where their records are read; everything else has its own parallelism or the job's. */
function assignParallelism(logical: LogicalGraph, parallelismDefault: number): number[] {
  const result: number[] = [];
  for (const node of logical.nodes) {
    const upstream = node.kind === 'timestamps' ? node.inputs[0]?.node : undefined;
    const inherited = upstream === undefined ? parallelismDefault : (result[upstream.ordinal] as number);
    result.push(node.parallelism ?? inherited);
  }
  return result;
}

interface VertexDraft {
  readonly id: string;
  readonly parallelism: number;
  readonly operators: OperatorNode[];
}

/** Where a node's output comes from. */
interface Placement {
  readonly vertex: VertexDraft;
  readonly operatorIndex: number;
}

interface OperatorDraft {
  readonly id: string;
  readonly kind: OperatorKind;
  readonly name: string;
  readonly idExplicit: boolean;
  readonly config: JsonObject;
  readonly stateful: boolean;
}

class VertexPlanner {
  readonly vertices: VertexDraft[] = [];
  readonly edges: JobEdge[] = [];
  readonly functions = new Map<string, OperatorFunctions>();
  readonly #ids: readonly string[];
  readonly #parallelism: readonly number[];
  readonly #placements: Placement[] = [];

  constructor(ids: readonly string[], parallelism: readonly number[]) {
    this.#ids = ids;
    this.#parallelism = parallelism;
  }

  place(node: LogicalNode): void {
    const placement =
      node.functions.kind === 'source-reader' ? this.#placeSource(node, node.functions) : this.#placeOperator(node);
    this.#placements.push(placement);
    if (node.functions.kind === 'sink-writer') this.#placeCommitter(node, node.functions, placement);
  }

  #placeSource(node: LogicalNode, { source }: Extract<OperatorFunctions, { kind: 'source-reader' }>): Placement {
    const reader = this.#draft(node, 'source-reader');
    const id = plannerId(reader.id);
    const planner = this.#startVertex({ ...reader, id, kind: 'source-planner', name: `${reader.name} planner` }, 1, {
      kind: 'source-planner',
      source,
    });
    const placement = this.#startVertex(reader, this.#parallelismOf(node), node.functions);
    this.#connect(planner, placement.vertex, { tag: null, input: 0, partitioner: 'split' });
    return placement;
  }

  #placeOperator(node: LogicalNode): Placement {
    const kind = node.functions.kind;
    const upstream = this.#chainableUpstream(node);
    if (upstream !== null) return this.#appendToChain(this.#draft(node, kind), node.functions, upstream);
    const placement = this.#startVertex(this.#draft(node, kind), this.#parallelismOf(node), node.functions);
    for (const input of node.inputs) {
      const from = this.#placements[input.node.ordinal] as Placement;
      const partitioner = partitionerOf(input, from.vertex.parallelism, placement.vertex.parallelism);
      this.#connect(from, placement.vertex, { tag: input.tag, input: input.input, partitioner });
    }
    return placement;
  }

  #placeCommitter(
    node: LogicalNode,
    { sink }: Extract<OperatorFunctions, { kind: 'sink-writer' }>,
    writer: Placement,
  ): void {
    if (sink.createCommitter === null) return;
    const draft = this.#draft(node, 'sink-committer');
    const committer = { ...draft, id: committerId(draft.id), name: `${draft.name} committer` };
    const placement = this.#startVertex(committer, 1, { kind: 'sink-committer', sink });
    this.#connect(writer, placement.vertex, { tag: null, input: 0, partitioner: 'rebalance' });
  }

  /** The input whose vertex the node can join, or null when it must start its own. */
  #chainableUpstream(node: LogicalNode): LogicalInput | null {
    const [input] = node.inputs;
    if (input === undefined || node.inputs.length !== 1 || input.partitioner !== 'auto') return null;
    return this.#parallelismOf(input.node) === this.#parallelismOf(node) ? input : null;
  }

  #appendToChain(draft: OperatorDraft, functions: OperatorFunctions, input: LogicalInput): Placement {
    const { vertex, operatorIndex } = this.#placements[input.node.ordinal] as Placement;
    vertex.operators.push({ ...draft, upstreamIndex: operatorIndex, upstreamTag: input.tag });
    this.functions.set(draft.id, functions);
    return { vertex, operatorIndex: vertex.operators.length - 1 };
  }

  #startVertex(draft: OperatorDraft, parallelism: number, functions: OperatorFunctions): Placement {
    const vertex: VertexDraft = {
      id: draft.id,
      parallelism,
      operators: [{ ...draft, upstreamIndex: -1, upstreamTag: null }],
    };
    this.vertices.push(vertex);
    this.functions.set(draft.id, functions);
    return { vertex, operatorIndex: 0 };
  }

  #connect(
    from: Placement,
    target: VertexDraft,
    edge: { tag: string | null; input: number; partitioner: Partitioner },
  ): void {
    this.edges.push({
      sourceVertex: from.vertex.id,
      sourceOperatorIndex: from.operatorIndex,
      sourceTag: edge.tag,
      targetVertex: target.id,
      targetInput: edge.input,
      partitioner: edge.partitioner,
    });
  }

  #draft(node: LogicalNode, kind: OperatorKind): OperatorDraft {
    const id = this.#ids[node.ordinal] as string;
    return {
      id,
      kind,
      name: node.name ?? node.uid ?? node.defaultName ?? id,
      idExplicit: node.uid !== null,
      config: configOf(node),
      stateful: isStateful(node),
    };
  }

  #parallelismOf(node: LogicalNode): number {
    return this.#parallelism[node.ordinal] as number;
  }
}

/** The documented config of the node's kind, see `OperatorNode.config`. */
function configOf(node: LogicalNode): JsonObject {
  // A copy: the graph is frozen, options of a connector are not ours to freeze. Absent options leave no trace in the hash.
  return JSON.parse(JSON.stringify(completeConfig(node))) as JsonObject;
}

function completeConfig(node: LogicalNode): JsonObject {
  if (node.kind === 'source' || node.kind === 'sink') return node.config;
  const onError = typeof node.onError === 'string' ? node.onError : { sideOutput: node.onError.sideOutput };
  if (node.kind === 'join' || node.kind === 'interval-join') return { ...joinConfig(node), onError };
  const changelog = modeOfInputs(node.inputs);
  if (changelog !== 'append') return { ...node.config, changelog, onError };
  if (node.kind !== 'window-aggregate') return { ...node.config, onError };
  return { ...node.config, lateTag: node.lateOutput ? lateTag : null, onError };
}

/** What a join is told of its inputs: whether they change, or where late records go. */
function joinConfig(node: LogicalNode): JsonObject {
  if (node.kind === 'join')
    return { ...node.config, first: modeOfInputs(node.inputs), second: modeOfInputs(node.inputs, 1) };
  const tagOf = (tag: string): string | null => (node.lateTags.has(tag) ? tag : null);
  return { ...node.config, lateFirstTag: tagOf(lateTags.first), lateSecondTag: tagOf(lateTags.second) };
}

function partitionerOf(input: LogicalInput, fromParallelism: number, toParallelism: number): Partitioner {
  if (input.partitioner !== 'auto') return input.partitioner;
  return fromParallelism === toParallelism ? 'forward' : 'rebalance';
}

function finishVertex({ id, parallelism, operators }: VertexDraft): JobVertex {
  return { id, name: operators.map((operator) => operator.name).join(' → '), operators, parallelism };
}

/** The graph is shared by everybody who plans; a change after the hash was taken would go unnoticed. */
function deepFreeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value;
  for (const item of Object.values(value)) deepFreeze(item);
  return Object.freeze(value);
}
