/**
 * The inner loop of aggregation, generated once per operator: selectors are called first (a throw changes nothing), then the
 * row is found, then its parts change. A loop over kinds and selectors costs five times as much: its calls are megamorphic
 * and its instructions keep the processor from overlapping the cache misses of successive updates.
 *
 * Architecture invariant: the generated text holds numbers and fixed words only, never anything from a job or the wire.
 */
import type { Key } from '../../core/operators.ts';
import type { AggregateLayout } from './aggregate-layout.ts';

/** What the adder needs of a table. */
export interface AdderTable {
  /** Parts by `slot * part count + part`; read again after the row was found. */
  parts: Float64Array;
  /** The slot of the key's row, made if absent and marked as changed. */
  upsert(key: Key): number;
  /** As `upsert`, and adds the record to the object accumulators; leaves no new row behind when that throws. */
  addObjects(key: Key, value: unknown): number;
  /** As `addObjects`, but takes the record back. Only of tables whose layout retracts. */
  retractObjects?(key: Key, value: unknown): number;
}

/** Adds one record and returns the slot of its row. */
export type Adder = (table: AdderTable, key: Key, value: unknown) => number;

/** Kinds of float64 parts. */
export const partKind = { count: 0, sum: 1, min: 2, max: 3 } as const;

/**
 * @param refuse  the error for a selector that returned something else than a number
 * @param retract takes the record back instead of adding it; of counts and sums only
 */
export function compileAdder(
  layout: AggregateLayout,
  refuse: (part: number, value: unknown) => Error,
  retract: boolean = false,
): Adder {
  const { partKinds, selects, filters, objects } = layout;
  // One predicate is asked once, however many aggregates share it.
  const predicates = [...new Set(filters.filter((filter) => filter !== null))];
  const parameters = [...selects.map((_, part) => `select${part}`), ...predicates.map((_, index) => `filter${index}`)];
  const lines: string[] = predicates.map((_, index) => `const passes${index} = filter${index}(value);`);
  const guards = filters.map((filter) => (filter === null ? '' : `if (passes${predicates.indexOf(filter)}) `));
  selects.forEach((select, part) => {
    if (select === null) return;
    lines.push(`let number${part} = 0;`, `${guards[part]}{`, `number${part} = select${part}(value);`);
    lines.push(`if (typeof number${part} !== 'number') throw refuse(${part}, number${part});`, '}');
  });
  const withObjects = retract ? 'retractObjects(key, value)' : 'addObjects(key, value)';
  lines.push(`const slot = table.${objects.length > 0 ? withObjects : 'upsert(key)'};`);
  lines.push(`const parts = table.parts;`, `const first = slot * ${partKinds.length};`);
  partKinds.forEach((kind, part) =>
    lines.push(guards[part] + (retract ? downdateOf(kind, part) : updateOf(kind, part))),
  );
  lines.push('return slot;');
  const body = `return (table, key, value) => {\n${lines.join('\n')}\n};`;
  const compile = new Function('refuse', ...parameters, body) as (...captured: unknown[]) => Adder;
  return compile(refuse, ...selects, ...predicates);
}

function downdateOf(kind: number, part: number): string {
  const cell = `parts[first + ${part}]`;
  return kind === partKind.count ? `${cell} -= 1;` : `${cell} -= number${part};`;
}

/** A comparison with NaN is false, so NaN is let in by name and stays. */
function updateOf(kind: number, part: number): string {
  const cell = `parts[first + ${part}]`;
  if (kind === partKind.count) return `${cell} += 1;`;
  if (kind === partKind.sum) return `${cell} += number${part};`;
  const comparison = kind === partKind.min ? '<' : '>';
  return `if (number${part} ${comparison} ${cell} || number${part} !== number${part}) ${cell} = number${part};`;
}
