/**
 * A fresh run must not mix its results with those of an earlier one: each sink is asked what lies at its destination.
 * What is there is left alone and the run refused, or, with `--fresh`, the sink removes exactly what it once committed.
 */
import type { Sink } from '../../core/connector/index.ts';
import { EngineError } from '../../core/errors.ts';
import type { OperatorFunctions } from '../../core/operators.ts';

/** The sinks of a planned job by operator id. */
export function sinksOf(functions: ReadonlyMap<string, OperatorFunctions>): ReadonlyMap<string, Sink<never>> {
  const sinks = new Map<string, Sink<never>>();
  for (const [id, operator] of functions) {
    if (operator.kind === 'sink-writer') sinks.set(id, operator.sink);
  }
  return sinks;
}

/**
 * Makes the destinations of all sinks free for a run from the beginning.
 * @throws EngineError OUTPUT_OCCUPIED when one is not and `fresh` is false; nothing was removed then
 */
export async function prepareOutputs(
  sinks: ReadonlyMap<string, Sink<never>>,
  workingDirectory: string,
  fresh: boolean,
): Promise<void> {
  const occupied = [];
  for (const [operator, sink] of sinks) {
    const occupation = await sink.occupation(workingDirectory);
    if (occupation !== null) occupied.push({ operator, occupation });
  }
  const [first] = occupied;
  if (first === undefined) return;
  if (!fresh) {
    const more = occupied.length > 1 ? ` (and ${occupied.length - 1} more)` : '';
    throw new EngineError(
      'OUTPUT_OCCUPIED',
      `results of an earlier run are in the way: ${first.occupation.description}${more} → run with --fresh to remove them, or change the destination`,
      { ids: { operator: first.operator } },
    );
  }
  for (const { occupation } of occupied) await occupation.clear();
}

/** Where a person finds the results, in the order of the graph. */
export function destinationsOf(sinks: ReadonlyMap<string, Sink<never>>): readonly string[] {
  return [
    ...new Set([...sinks.values()].map((sink) => sink.destination).filter((destination) => destination !== null)),
  ];
}
