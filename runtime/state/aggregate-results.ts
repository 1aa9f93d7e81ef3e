/**
 * Makes the object a keyed aggregation emits: leading fields (the key, the bounds of the window), then one field an aggregate.
 * Generated once per operator, so that all results have one hidden class made for them: setting the fields of an object
 * literal one by one, through shared code, was half the cost of an update, and put fields beyond the first in an array.
 *
 * Architecture invariant: the generated text holds numbers and fixed words only; names come in through the closure.
 */
import { asPropertyKey, defineField } from '../../core/codec/field-names.ts';
import type { AnyObjectAggregate } from './aggregate-layout.ts';

/** How the result of one aggregate is read from a row. */
export interface ResultField {
  readonly name: string;
  readonly kind: 'part' | 'avg' | 'object';
  /** Index of the (first) part, or of the object column. */
  readonly index: number;
}

/** What a result is read from: the parts of a row from index `first` on, and object accumulators by column and slot. */
type ReadRow = (parts: Float64Array, first: number, objects: readonly unknown[][], slot: number) => unknown;
/** Makes the result of a row. @throws what the user's `result` throws */
export type ResultMaker = (
  parts: Float64Array,
  first: number,
  objects: readonly unknown[][],
  slot: number,
  key: unknown,
  windowStart: number,
  windowEnd: number,
) => Record<string, unknown>;

/** Names of the leading fields, in order: a prefix of these. */
const leadNames = ['key', 'windowStart', 'windowEnd'] as const;
/** Fields up to which code is generated. */
const generatedFieldsMax = 100;

/** @param leadCount 1: the key alone; 3: key and bounds of the window */
export function compileResults(
  leadCount: 1 | 3,
  fields: readonly ResultField[],
  aggregates: readonly AnyObjectAggregate[],
): ResultMaker {
  const names = [...leadNames.slice(0, leadCount), ...fields.map((field) => asPropertyKey(field.name))];
  // Assigning a name that Object.prototype has would call a setter (__proto__) or fail where the prototype is frozen.
  const plain = names.every((name) => !(name in Object.prototype));
  if (!plain || names.length > generatedFieldsMax) return definingMaker(leadCount, names, fields, aggregates);
  const text = makerText(leadCount, names.length, fields);
  return new Function('names', 'aggregates', 'prototype', text)(names, aggregates, Object.prototype) as ResultMaker;
}

function makerText(leadCount: number, nameCount: number, fields: readonly ResultField[]): string {
  const each = (text: (index: number) => string, separator = '\n') =>
    Array.from({ length: nameCount }, (_, index) => text(index)).join(separator);
  const objects = fields.filter((field) => field.kind === 'object');
  return `
    ${each((index) => `const name${index} = names[${index}];`)}
    ${objects.map(({ index }) => `const aggregate${index} = aggregates[${index}];`).join('\n')}
    function Result(${each((index) => `value${index}`, ', ')}) {
      ${each((index) => `this[name${index}] = value${index};`)}
    }
    Result.prototype = prototype;
    return (parts, first, objects, slot, ${leadNames.join(', ')}) =>
      new Result(${[...leadNames.slice(0, leadCount), ...fields.map(readText)].join(', ')});`;
}

function readText({ kind, index }: ResultField): string {
  if (kind === 'part') return `parts[first + ${index}]`;
  if (kind === 'avg') return `parts[first + ${index}] / parts[first + ${index + 1}]`;
  return `aggregate${index}.result(objects[${index}][slot])`;
}

/** Slow and right for every name. */
function definingMaker(
  leadCount: number,
  names: readonly string[],
  fields: readonly ResultField[],
  aggregates: readonly AnyObjectAggregate[],
): ResultMaker {
  const reads = fields.map((field) => readerOf(field, aggregates));
  return (parts, first, objects, slot, key, windowStart, windowEnd) => {
    const values = [key, windowStart, windowEnd].slice(0, leadCount);
    for (const read of reads) values.push(read(parts, first, objects, slot));
    const result: Record<string, unknown> = {};
    for (let index = 0; index < names.length; index++) defineField(result, names[index] as string, values[index]);
    return result;
  };
}

function readerOf({ kind, index }: ResultField, aggregates: readonly AnyObjectAggregate[]): ReadRow {
  if (kind === 'part') return (parts, first) => parts[first + index];
  if (kind === 'avg') return (parts, first) => (parts[first + index] as number) / (parts[first + index + 1] as number);
  const aggregate = aggregates[index] as AnyObjectAggregate;
  return (_parts, _first, objects, slot) => aggregate.result((objects[index] as unknown[])[slot]);
}
