/**
 * From logical nodes to a job graph: ids, parallelism, checks, then chains. An operator joins the vertex of its upstream
 * when one forward edge of equal parallelism feeds it and it needs neither a key nor a second input (`placement.ts` has
 * the rules); everything else starts a vertex. Nodes come in definition order, each after its inputs, so vertices come out in topological order.
 *
 * Pure and deterministic: a slot plans the same definition again and must find the same operators.
 */
import type { PlannedJob } from '../../core/graph/job-definition.ts';
import { slotSharingGroupDefault } from '../../core/graph/slot-sharing.ts';
import {
  type ChainingHint,
  type JobEdge,
  type JobGraph,
  jobGraphFormatVersion,
  type JobOptions,
  type JobVertex,
  type OperatorNode,
  type Partitioner,
} from '../../core/graph/job-graph.ts';
import type { CustomPartition, OperatorFunctions, OperatorKind } from '../../core/operators.ts';
import type { JsonObject } from '../../core/plain-data.ts';
import { checkGraph, graphWarnings, isStateful, isWindow } from './check-graph.ts';
import { modeOfInputs } from './changelog-modes.ts';
import { type LogicalGraph, type LogicalInput, type LogicalNode, lateSecondTag, lateTag } from './logical-graph.ts';
import { assignIds, committerId, plannerId } from './operator-ids.ts';
import { checkPlacement } from './check-placement.ts';
import { assignSlotSharingGroups, type ChainRules, chainableInput, nodesBoundToSource } from './placement.ts';

/** @throws EngineError JOB_INVALID naming what cannot be planned and the remedy */
export function planLogicalGraph(logical: LogicalGraph, options: JobOptions, parameters: JsonObject): PlannedJob {
  const ids = assignIds(logical);
  const parallelism = assignParallelism(logical, options.parallelism);
  const rules = {
    parallelism,
    groups: assignSlotSharingGroups(logical),
    bound: nodesBoundToSource(logical),
    chaining: options.chaining !== false,
  };
  checkGraph(logical, ids, parallelism, options.maxParallelism);
  checkPlacement(logical, ids, rules);
  const planner = new VertexPlanner(ids, rules);
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
  readonly group: string;
  readonly operators: OperatorNode[];
}

type Seat = Pick<VertexDraft, 'parallelism' | 'group'>;

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
  readonly tuning?: JsonObject;
  readonly chaining?: ChainingHint;
  readonly stateful: boolean;
}

class VertexPlanner {
  readonly vertices: VertexDraft[] = [];
  readonly edges: JobEdge[] = [];
  readonly functions = new Map<string, OperatorFunctions>();
  readonly #ids: readonly string[];
  readonly #rules: ChainRules;
  readonly #placements: Placement[] = [];

  constructor(ids: readonly string[], rules: ChainRules) {
    this.#ids = ids;
    this.#rules = rules;
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
    const seat = this.#seatOf(node);
    const planner = this.#startVertex(
      { ...reader, id, kind: 'source-planner', name: `${reader.name} planner` },
      { ...seat, parallelism: 1 },
      { kind: 'source-planner', source },
    );
    const placement = this.#startVertex(reader, seat, node.functions);
    this.#connect(planner, placement.vertex, { tag: null, input: 0, partitioner: 'split' });
    return placement;
  }

  #placeOperator(node: LogicalNode): Placement {
    const kind = node.functions.kind;
    const upstream = chainableInput(node, this.#rules);
    if (upstream !== null) return this.#appendToChain(this.#draft(node, kind), node.functions, upstream);
    const partitions: CustomPartition[] = [];
    const placement = this.#startVertex(this.#draft(node, kind), this.#seatOf(node), node.functions);
    for (const input of node.inputs) {
      const from = this.#placements[input.node.ordinal] as Placement;
      const partitioner = partitionerOf(input, from.vertex.parallelism, placement.vertex.parallelism);
      const partitionIndex = input.custom === undefined ? {} : { partitionIndex: partitions.push(input.custom) - 1 };
      this.#connect(from, placement.vertex, { tag: input.tag, input: input.input, partitioner, ...partitionIndex });
    }
    if (partitions.length > 0) this.functions.set(placement.vertex.id, { ...node.functions, partitions });
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
    const placement = this.#startVertex(
      committer,
      { ...this.#seatOf(node), parallelism: 1 },
      { kind: 'sink-committer', sink },
    );
    this.#connect(writer, placement.vertex, { tag: null, input: 0, partitioner: 'rebalance' });
  }

  #appendToChain(draft: OperatorDraft, functions: OperatorFunctions, input: LogicalInput): Placement {
    const { vertex, operatorIndex } = this.#placements[input.node.ordinal] as Placement;
    vertex.operators.push({ ...draft, upstreamIndex: operatorIndex, upstreamTag: input.tag });
    this.functions.set(draft.id, functions);
    return { vertex, operatorIndex: vertex.operators.length - 1 };
  }

  #startVertex(draft: OperatorDraft, seat: Seat, functions: OperatorFunctions): Placement {
    const vertex: VertexDraft = {
      id: draft.id,
      ...seat,
      operators: [{ ...draft, upstreamIndex: -1, upstreamTag: null }],
    };
    this.vertices.push(vertex);
    this.functions.set(draft.id, functions);
    return { vertex, operatorIndex: 0 };
  }

  #connect(
    from: Placement,
    target: VertexDraft,
    edge: { tag: string | null; input: number; partitioner: Partitioner; partitionIndex?: number },
  ): void {
    this.edges.push({
      sourceVertex: from.vertex.id,
      sourceOperatorIndex: from.operatorIndex,
      sourceTag: edge.tag,
      targetVertex: target.id,
      targetInput: edge.input,
      partitioner: edge.partitioner,
      ...(edge.partitionIndex === undefined ? {} : { partitionIndex: edge.partitionIndex }),
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
      ...(node.tuning === null ? {} : { tuning: node.tuning }),
      ...(node.chaining === null ? {} : { chaining: node.chaining }),
      stateful: isStateful(node),
    };
  }

  #seatOf({ ordinal }: LogicalNode): Seat {
    const { parallelism, groups } = this.#rules;
    return { parallelism: parallelism[ordinal] as number, group: groups[ordinal] as string };
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
  if (node.kind === 'join')
    return { ...node.config, first: modeOfInputs(node.inputs), second: modeOfInputs(node.inputs, 1), onError };
  const changelog = modeOfInputs(node.inputs);
  if (changelog !== 'append') return { ...node.config, changelog, onError };
  return { ...node.config, ...lateConfig(node), onError };
}

/** Side outputs for late records, null where nobody asked for one; of operators that know late records. */
function lateConfig(node: LogicalNode): JsonObject {
  const asked = (tag: string): string | null => (node.lateTags.has(tag) ? tag : null);
  if (node.kind === 'window-co-group' || node.kind === 'interval-join')
    return { lateTag: asked(lateTag), lateSecondTag: asked(lateSecondTag) };
  return isWindow(node) ? { lateTag: asked(lateTag) } : {};
}

function partitionerOf(input: LogicalInput, fromParallelism: number, toParallelism: number): Partitioner {
  if (input.partitioner !== 'auto') return input.partitioner;
  return fromParallelism === toParallelism ? 'forward' : 'rebalance';
}

function finishVertex({ id, parallelism, group, operators }: VertexDraft): JobVertex {
  const name = operators.map((operator) => operator.name).join(' → ');
  return {
    id,
    name,
    operators,
    parallelism,
    ...(group === slotSharingGroupDefault ? {} : { slotSharingGroup: group }),
  };
}

/** The graph is shared by everybody who plans; a change after the hash was taken would go unnoticed. */
function deepFreeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value;
  for (const item of Object.values(value)) deepFreeze(item);
  return Object.freeze(value);
}
