/**
 * Which subtasks a `rescale` edge connects: each source has a contiguous share of the targets (or each target a share of the
 * sources), so subtasks in one slot range talk to each other and a watermark waits for few. Both directions are computed
 * from the same two numbers, so both ends agree without asking.
 *
 * @see Flink RescalePartitioner, VertexInputInfoComputationUtils (pointwise)
 */

/** Targets that source subtask `source` sends to: contiguous, at least one. */
export function rescaleTargets(source: number, sources: number, targets: number): readonly number[] {
  // With fewer targets than sources several sources share one: the share of a target is cut out of the sources.
  if (sources >= targets) return [Math.floor((source * targets) / sources)];
  return range(Math.ceil((source * targets) / sources), Math.ceil(((source + 1) * targets) / sources));
}

/** Sources that target subtask `target` reads from: contiguous, at least one; the inverse of {@link rescaleTargets}. */
export function rescaleSources(target: number, sources: number, targets: number): readonly number[] {
  if (sources < targets) return [Math.floor((target * sources) / targets)];
  return range(Math.ceil((target * sources) / targets), Math.ceil(((target + 1) * sources) / targets));
}

function range(first: number, end: number): readonly number[] {
  return Array.from({ length: end - first }, (_, index) => first + index);
}
