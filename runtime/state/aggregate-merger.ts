/**
 * Merging the numeric parts of two rows, generated once per operator like the adder: one straight line of code for the parts
 * there are, instead of a loop over kinds.
 *
 * Architecture invariant: the generated text holds numbers and fixed words only, never anything from a job or the wire.
 */
import { partKind } from './aggregate-adder.ts';

/** Merges the parts at `source[sourceFirst..]` into those at `target[targetFirst..]`. */
export type PartsMerger = (
  target: Float64Array,
  targetFirst: number,
  source: Float64Array,
  sourceFirst: number,
) => void;

export function compileMerger(partKinds: Int8Array): PartsMerger {
  const lines = Array.from(partKinds, (kind, part) => mergeOf(kind, part));
  const body = `return (target, targetFirst, source, sourceFirst) => {\n${lines.join('\n')}\n};`;
  return (new Function(body) as () => PartsMerger)();
}

/** NaN wins, as when records are added one by one. */
function mergeOf(kind: number, part: number): string {
  const into = `target[targetFirst + ${part}]`;
  const from = `source[sourceFirst + ${part}]`;
  if (kind === partKind.count || kind === partKind.sum) return `${into} += ${from};`;
  const comparison = kind === partKind.min ? '<' : '>';
  return `if (${from} ${comparison} ${into} || ${from} !== ${from}) ${into} = ${from};`;
}
