/**
 * Regions: the parts of a job that can fail and start again on their own. Records flow within a region, never between two,
 * so a region that goes back to a checkpoint takes nothing with it. A region is an independent pipeline: vertices that are
 * connected by edges, however indirectly. Vertices that name one slot-sharing group share slots, and what shares a thread
 * ends with it, so they are one region too.
 */
import type { JobGraph } from './job-graph.ts';

/** Group of operators that name none and whose inputs do not agree on one. It is not a name: nobody asked for sharing. */
export const slotSharingGroupDefault = 'default';

/** The region of each vertex, by vertex id: numbers from 0 in the order in which the graph names their first vertices. */
export function regionsOf(graph: JobGraph): ReadonlyMap<string, number> {
  const parents = new Map(graph.vertices.map(({ id }) => [id, id]));
  const rootOf = (id: string): string => {
    let root = id;
    for (let parent = parents.get(root); parent !== undefined && parent !== root; parent = parents.get(root))
      root = parent;
    return root;
  };
  const join = (one: string, other: string): void => void parents.set(rootOf(other), rootOf(one));
  for (const { sourceVertex, targetVertex } of graph.edges) join(sourceVertex, targetVertex);
  const firstOfGroup = new Map<string, string>();
  for (const { id, slotSharingGroup = slotSharingGroupDefault } of graph.vertices) {
    if (slotSharingGroup === slotSharingGroupDefault) continue;
    const first = firstOfGroup.get(slotSharingGroup);
    if (first === undefined) firstOfGroup.set(slotSharingGroup, id);
    else join(first, id);
  }
  const numbers = new Map<string, number>();
  return new Map(
    graph.vertices.map(({ id }) => {
      const root = rootOf(id);
      const number = numbers.get(root) ?? numbers.size;
      numbers.set(root, number);
      return [id, number];
    }),
  );
}
