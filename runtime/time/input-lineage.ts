/**
 * What the idleness of one input channel says about another, from the graph alone (ADR-0016).
 *
 * A subtask is idle when all its inputs are, so its siblings, which are fed by the same upstream subtasks over an all-to-all
 * exchange, become idle and wake with it: sooner or later, not at once. While one of them is awake already and another still
 * counts as idle, the second has results to come which the first says nothing about. Ignoring it then would purge windows
 * that its on-time results belong to. A channel is therefore idle on its own only where it really may be: a split reader,
 * and what is fed by readers over forward edges.
 */
import type { JobEdge, JobGraph, JobVertex } from '../../core/graph/job-graph.ts';
import type { ValveGroup, ValveLayout } from './watermark-valve.ts';

/** Whom the idleness of a vertex depends on. */
interface Lineage {
  /** Source vertices. */
  readonly origins: ReadonlySet<string>;
  /** Every subtask wakes and ends when any of them does for good: all see the same upstream subtasks. */
  readonly uniform: boolean;
}

/** An edge by whom it reaches: every subtask of the target from every subtask of the source. */
function isAllToAll(edge: JobEdge, target: JobVertex): boolean {
  if (target.parallelism === 1) return true;
  // All others have a channel to every subtask, and tell each of them of idleness, wherever records go (`targetsOf`).
  return edge.partitioner !== 'forward' && edge.partitioner !== 'rescale';
}

/** Inputs that carry time: a side input ends before the main one begins. */
function timedInputs(graph: JobGraph, vertex: JobVertex): JobEdge[] {
  const sided = vertex.operators[0]?.kind === 'broadcast-input';
  return graph.edges.filter((edge) => edge.targetVertex === vertex.id && !(sided && edge.targetInput === 1));
}

/** A planned graph does not change, and every subtask of every vertex asks. */
const known = new WeakMap<JobGraph, ReadonlyMap<string, Lineage>>();

function lineages(graph: JobGraph): ReadonlyMap<string, Lineage> {
  let result = known.get(graph);
  if (result === undefined) known.set(graph, (result = lineagesOf(graph)));
  return result;
}

function lineagesOf(graph: JobGraph): Map<string, Lineage> {
  const result = new Map<string, Lineage>();
  // In topological order: the sources of every edge come first.
  for (const vertex of graph.vertices) {
    const kind = vertex.operators[0]?.kind;
    if (kind === 'source-planner' || kind === 'source-reader') {
      result.set(vertex.id, { origins: new Set([vertex.id]), uniform: vertex.parallelism === 1 });
      continue;
    }
    const origins = new Set<string>();
    let uniform = true;
    for (const edge of timedInputs(graph, vertex)) {
      const from = result.get(edge.sourceVertex);
      for (const origin of from?.origins ?? []) origins.add(origin);
      uniform &&= isAllToAll(edge, vertex) || from?.uniform === true;
    }
    result.set(vertex.id, { origins, uniform });
  }
  return result;
}

/**
 * The channels of a subtask, grouped by edge in the order of the graph's edges.
 * @param channelCounts channels of each edge into the vertex, in that order
 */
export function valveLayout(graph: JobGraph, vertexId: string, channelCounts: readonly number[]): ValveLayout {
  const all = lineages(graph);
  const edges = graph.edges.filter((edge) => edge.targetVertex === vertexId);
  const sources = edges.map((edge) => all.get(edge.sourceVertex) ?? { origins: new Set<string>(), uniform: false });
  const groups = sources.map((group): ValveGroup => {
    const others = [...sources.keys()];
    if (!group.uniform) return { wakesWith: [], endsWith: [] };
    return {
      wakesWith: others.filter((other) => isSubset((sources[other] as Lineage).origins, group.origins)),
      endsWith: others.filter((other) => {
        const { origins, uniform } = sources[other] as Lineage;
        return uniform && isSubset(group.origins, origins);
      }),
    };
  });
  return { groupOf: channelCounts.flatMap((count, group) => new Array<number>(count).fill(group)), groups };
}

function isSubset(part: ReadonlySet<string>, whole: ReadonlySet<string>): boolean {
  for (const element of part) if (!whole.has(element)) return false;
  return true;
}
