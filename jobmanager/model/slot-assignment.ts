/**
 * Which subtasks share a slot, and on which task manager each slot is. Pure and deterministic.
 *
 * Slot sharing: subtask i of every vertex of a slot-sharing group goes to slot i of the group, so a job needs as many slots
 * as the largest parallelisms of its groups together, and forward edges within a group stay within a slot. A slot is of one
 * region only. Slots are spread over task managers, most free slots first.
 */
import { EngineError } from '../../core/errors.ts';
import type { JobGraph } from '../../core/graph/job-graph.ts';
import { slotSharingGroups } from '../../core/graph/slot-sharing.ts';
import type { SlotSlice, SubtaskRef } from '../../proto/messages.ts';
import type { SlotSupply } from './slot-pool.ts';

export interface SlotOffer {
  readonly taskManagerId: string;
  readonly slotCount: number;
}

/** A slice and the region all of its subtasks are of. */
export interface RegionSlice extends SlotSlice {
  readonly region: number;
}

export interface PlacedSlot extends RegionSlice {
  readonly taskManagerId: string;
}

/** Name of a subtask as a map key. */
export function subtaskKey(subtask: SubtaskRef): string {
  return `${subtask.subtaskIndex}/${subtask.vertexId}`;
}

/**
 * The slices of an attempt. Subtasks of `finishedVertices` are not started again; a slot without any subtask is left out.
 */
export function slicesOf(graph: JobGraph, finishedVertices: ReadonlySet<string>): RegionSlice[] {
  // Slots are numbered with finished vertices too, so that a slot keeps its number while others come and go.
  const groups = slotSharingGroups(graph);
  const groupOf = new Map(groups.flatMap((group) => group.vertexIds.map((id) => [id, group])));
  const slices = new Map<number, { slotIndex: number; region: number; subtasks: SubtaskRef[] }>();
  for (const vertex of graph.vertices) {
    if (finishedVertices.has(vertex.id)) continue;
    const { firstSlot, region } = groupOf.get(vertex.id) ?? { firstSlot: 0, region: 0 };
    for (let subtaskIndex = 0; subtaskIndex < vertex.parallelism; subtaskIndex++) {
      const slotIndex = firstSlot + subtaskIndex;
      const slice = slices.get(slotIndex) ?? { slotIndex, region, subtasks: [] };
      slices.set(slotIndex, slice);
      slice.subtasks.push({ vertexId: vertex.id, subtaskIndex });
    }
  }
  return [...slices.values()].sort((left, right) => left.slotIndex - right.slotIndex);
}

/** Puts every slice on a task manager, or returns null when there are not enough slots. */
export function placeSlices(slices: readonly RegionSlice[], offers: readonly SlotOffer[]): PlacedSlot[] | null {
  const free = offers.map((offer) => ({ id: offer.taskManagerId, slots: offer.slotCount }));
  free.sort((a, b) => (a.id < b.id ? -1 : 1));
  const placed: PlacedSlot[] = [];
  for (const slice of slices) {
    const [first, ...others] = free;
    if (first === undefined) return null;
    const best = others.reduce((most, offer) => (offer.slots > most.slots ? offer : most), first);
    if (best.slots === 0) return null;
    best.slots--;
    placed.push({ ...slice, taskManagerId: best.id });
  }
  return placed;
}

/** Why a job could not be placed, with numbers. */
export function missingSlotsError(jobName: string, needed: number, supply: SlotSupply): EngineError {
  const { taskManagers, slots, freeSlots } = supply;
  const busy = freeSlots < slots ? `, of which ${freeSlots} are free` : '';
  return new EngineError(
    'USAGE',
    `job "${jobName}" needs ${needed} slots, but ${taskManagers} task managers offer ${slots}${busy}; start more task managers, lower the parallelism, or put operators into one slot-sharing group`,
    { ids: { jobName, slotsNeeded: needed, slotsOffered: slots, slotsFree: freeSlots } },
  );
}
