/**
 * Slot sharing: which subtasks may be in one slot. Subtask i of every vertex of a group goes to the group's slot i, so a
 * group needs as many slots as its largest parallelism and its forward edges stay within a slot; groups share nothing.
 */
import type { JobGraph, JobVertex } from './job-graph.ts';

/** Group of operators that name none and whose inputs do not agree on one. */
export const slotSharingGroupDefault = 'default';

/** Slots of one group: `slotCount` of them, from `firstSlot` on. */
export interface SlotSharingGroup {
  readonly name: string;
  readonly firstSlot: number;
  readonly slotCount: number;
}

/** The group of a vertex. */
export function slotSharingGroupOf(vertex: JobVertex): string {
  return vertex.slotSharingGroup ?? slotSharingGroupDefault;
}

/** The groups of a graph with their slots, in the order in which the graph names them. */
export function slotSharingGroups(graph: JobGraph): readonly SlotSharingGroup[] {
  const counts = new Map<string, number>();
  for (const vertex of graph.vertices) {
    const name = slotSharingGroupOf(vertex);
    counts.set(name, Math.max(counts.get(name) ?? 0, vertex.parallelism));
  }
  let firstSlot = 0;
  return [...counts].map(([name, slotCount]) => {
    const group = { name, firstSlot, slotCount };
    firstSlot += slotCount;
    return group;
  });
}

/** Slots a job needs: the largest parallelism of each group, added up. */
export function slotsNeeded(graph: JobGraph): number {
  return slotSharingGroups(graph).reduce((sum, group) => sum + group.slotCount, 0);
}
