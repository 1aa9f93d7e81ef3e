/** A job graph as text, for `millrace plan` and for messages. */
import type { JobGraph, JobVertex, OperatorNode } from '../../core/graph/job-graph.ts';
import { slotSharingGroups, slotsNeeded } from '../../core/graph/slot-sharing.ts';
import { canonicalJson } from '../../core/plain-data.ts';

/** Several lines: the job, then each vertex with its chain and the edges that feed it. Ends without a line break. */
export function renderPlan(graph: JobGraph): string {
  const { name, options, vertices, parameters } = graph;
  const chaining = options.chaining === false ? ', chaining off' : '';
  const lines = [
    `job ${name}: ${counted(vertices.length, 'vertex', 'vertices')}, maxParallelism ${options.maxParallelism}, checkpoint every ${options.checkpointIntervalMs} ms${chaining}`,
  ];
  const groups = slotSharingGroups(graph);
  if (groups.length > 1) {
    const shares = groups.map((group) => `${group.name} ${group.slotCount}`).join(', ');
    lines.push(`slots ${slotsNeeded(graph)}, by slot-sharing group: ${shares}`);
  }
  if (Object.keys(parameters).length > 0) lines.push(`parameters ${canonicalJson(parameters)}`);
  for (const [index, vertex] of vertices.entries()) lines.push('', ...vertexLines(graph, vertex, index));
  return lines.join('\n');
}

function vertexLines(graph: JobGraph, vertex: JobVertex, index: number): string[] {
  const group = vertex.slotSharingGroup === undefined ? '' : `, slot-sharing group ${vertex.slotSharingGroup}`;
  const lines = [`${index + 1}. ${vertex.name} (parallelism ${vertex.parallelism}${group})`];
  for (const edge of graph.edges.filter((candidate) => candidate.targetVertex === vertex.id)) {
    const source = graph.vertices.find((candidate) => candidate.id === edge.sourceVertex);
    const operator = source?.operators[edge.sourceOperatorIndex]?.id ?? edge.sourceVertex;
    const isSide = vertex.operators[0]?.kind === 'broadcast-input';
    const side = edge.targetInput === 1 ? ` (${isSide ? 'side' : 'second'} input)` : '';
    lines.push(`   ← ${edge.partitioner} from ${operator}${tagged(edge.sourceTag)}${side}`);
  }
  for (const operator of vertex.operators) lines.push(`   ${operatorLine(vertex, operator)}`);
  return lines;
}

function operatorLine(vertex: JobVertex, operator: OperatorNode): string {
  const upstream = vertex.operators[operator.upstreamIndex]?.id;
  const from = upstream === undefined ? '' : ` ← ${upstream}${tagged(operator.upstreamTag)}`;
  const state = operator.stateful ? (operator.idExplicit ? ', state' : ', state under a derived id') : '';
  const chaining = operator.chaining === undefined ? '' : chainingWords[operator.chaining];
  const tuning = operator.tuning === undefined ? '' : ` ${canonicalJson(operator.tuning)}`;
  return `${operator.id}: ${operator.kind}${state}${chaining}${from} ${canonicalJson(operator.config)}${tuning}`;
}

const chainingWords = { 'new-chain': ', starts a chain', alone: ', chained to nothing' } as const;
const tagged = (tag: string | null): string => (tag === null ? '' : ` [${tag}]`);
const counted = (count: number, one: string, many: string): string => `${count} ${count === 1 ? one : many}`;
