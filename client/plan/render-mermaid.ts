/** A job graph as a Mermaid flowchart, for READMEs and reviews: a box for each vertex, its operators inside. */
import type { JobEdge, JobGraph, JobVertex } from '../../core/graph/job-graph.ts';

/** Several lines, without the code fence. Ends without a line break. */
export function renderMermaid(graph: JobGraph): string {
  const nodes = new Map<string, string>();
  const lines = ['flowchart LR'];
  for (const [index, vertex] of graph.vertices.entries()) lines.push(...vertexLines(vertex, index, nodes));
  for (const edge of graph.edges) lines.push(`  ${edgeLine(graph, edge, nodes)}`);
  return lines.join('\n');
}

function vertexLines(vertex: JobVertex, index: number, nodes: Map<string, string>): string[] {
  const lines = [`  subgraph v${index}["${escaped(vertex.id)} ×${vertex.parallelism}"]`];
  for (const [place, operator] of vertex.operators.entries()) {
    const node = `v${index}o${place}`;
    nodes.set(`${vertex.id}\u0000${place}`, node);
    const [open, close] = operator.stateful ? ['[(', ')]'] : ['[', ']'];
    lines.push(`    ${node}${open}"${escaped(operator.name)}<br/><small>${operator.kind}</small>"${close}`);
    if (operator.upstreamIndex < 0) continue;
    lines.push(`    v${index}o${operator.upstreamIndex} ${arrow(operator.upstreamTag)} ${node}`);
  }
  return [...lines, '  end'];
}

function edgeLine(graph: JobGraph, edge: JobEdge, nodes: ReadonlyMap<string, string>): string {
  const from = nodes.get(`${edge.sourceVertex}\u0000${edge.sourceOperatorIndex}`);
  const to = nodes.get(`${edge.targetVertex}\u00000`);
  const single = graph.vertices.find((vertex) => vertex.id === edge.targetVertex)?.parallelism === 1;
  const spread = single && edge.partitioner !== 'hash' && edge.partitioner !== 'broadcast' ? [] : [edge.partitioner];
  const label = [...spread, ...(edge.sourceTag === null ? [] : [edge.sourceTag])].join(': ');
  const second = edge.targetInput === 1 ? `${label === '' ? '' : `${label}, `}second input` : label;
  return `${from} ${arrow(second === '' ? null : second)} ${to}`;
}

const arrow = (label: string | null): string => (label === null ? '-->' : `-->|"${escaped(label)}"|`);

/** Quotes and angle brackets would end a label or be taken for markup. */
const escaped = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('"', '&quot;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
