/**
 * Slot sharing: which subtasks may be in one slot. Subtask i of every vertex of a group goes to the group's slot i, so a
 * group needs as many slots as its largest parallelism and its forward edges stay within a slot; groups share nothing.
 * Each region has a default group of its own, so that what ends with a slot is one region at most.
 */
import type { JobGraph } from './job-graph.ts';
import { regionsOf, slotSharingGroupDefault } from './regions.ts';

export { slotSharingGroupDefault } from './regions.ts';

/** Slots of one group: `slotCount` of them, from `firstSlot` on. */
export interface SlotSharingGroup {
  /** As named in the job; `default`, or `default 2` and so on where there are several regions. */
  readonly name: string;
  readonly firstSlot: number;
  readonly slotCount: number;
  readonly region: number;
  readonly vertexIds: readonly string[];
}

/** The groups of a graph with their slots, in the order in which the graph names them. */
export function slotSharingGroups(graph: JobGraph): readonly SlotSharingGroup[] {
  const regions = regionsOf(graph);
  const groups = new Map<string, { name: string; region: number; slotCount: number; vertexIds: string[] }>();
  for (const { id, parallelism, slotSharingGroup = slotSharingGroupDefault } of graph.vertices) {
    const region = regions.get(id) ?? 0;
    const named = slotSharingGroup !== slotSharingGroupDefault || region === 0;
    const name = named ? slotSharingGroup : `${slotSharingGroupDefault} ${region + 1}`;
    const group = groups.get(name) ?? { name, region, slotCount: 0, vertexIds: [] };
    groups.set(name, group);
    group.slotCount = Math.max(group.slotCount, parallelism);
    group.vertexIds.push(id);
  }
  let firstSlot = 0;
  return [...groups.values()].map((group) => {
    const placed = { ...group, firstSlot };
    firstSlot += group.slotCount;
    return placed;
  });
}

/** Slots a job needs: the largest parallelism of each group, added up. */
export function slotsNeeded(graph: JobGraph): number {
  return slotSharingGroups(graph).reduce((sum, group) => sum + group.slotCount, 0);
}
