/**
 * Generated functions of shapes. What is generated is always the same text (it depends on the number of fields and on
 * nothing else); names come in through the closure. Generating it again for each field gives every field call sites of its
 * own, which V8 keeps monomorphic: reading a column of 512 objects costs some 10 ns a field less than through shared code.
 *
 * Architecture invariant: no text from the wire or from user data ever becomes part of generated code.
 */
import { asPropertyKey, defineField } from '../../core/codec/field-names.ts';

export type Row = Readonly<Record<string, unknown>>;

/** Reads one field of all rows. */
export interface FieldGathers {
  /** Fills `out` with integers of 32 bits; returns the first row that holds something else, or the number of rows. */
  int32(rows: readonly Row[], out: Int32Array): number;
  float64(rows: readonly Row[], out: Float64Array): number;
  /** Joins all strings and fills `lengths`; null when some row holds something else. */
  text(rows: readonly Row[], lengths: Uint32Array): string | null;
  any(rows: readonly Row[], out: unknown[]): void;
}

const gathersText = `
  return {
    int32(rows, out) {
      const count = rows.length;
      for (let row = 0; row < count; row++) {
        const value = rows[row][name];
        if (typeof value !== 'number') return row;
        const integer = value | 0;
        if (integer !== value || (integer === 0 && 1 / value < 0)) return row;
        out[row] = integer;
      }
      return count;
    },
    float64(rows, out) {
      const count = rows.length;
      for (let row = 0; row < count; row++) {
        const value = rows[row][name];
        if (typeof value !== 'number') return row;
        out[row] = value;
      }
      return count;
    },
    text(rows, lengths) {
      const count = rows.length;
      let text = '';
      for (let row = 0; row < count; row++) {
        const value = rows[row][name];
        if (typeof value !== 'string') return null;
        text += value;
        lengths[row] = value.length;
      }
      return text;
    },
    any(rows, out) {
      const count = rows.length;
      for (let row = 0; row < count; row++) out[row] = rows[row][name];
    },
  };`;

/** Gathers of the field `name`. */
export function makeFieldGathers(name: string): FieldGathers {
  return new Function('name', gathersText)(name) as FieldGathers;
}

const matchText = `
  return (object) => {
    let index = 0;
    for (const name in object) if (name !== names[index++]) return false;
    return index === names.length;
  };`;

/** True for objects whose fields are exactly `names`, in this order. The caller has looked at the prototype. */
export function makeExactMatch(names: readonly string[]): (object: Row) => boolean {
  return new Function('names', matchText)(names) as (object: Row) => boolean;
}

/** Makes objects from the columns of their fields. */
export interface ObjectBuilder {
  /** All fields present in all rows. */
  exact(columns: readonly ArrayLike<unknown>[], count: number): Row[];
  /** Fields are left out where `present` is 0 (null: nowhere); their columns hold only the rows that have them. */
  optional(columns: readonly ArrayLike<unknown>[], present: readonly (Uint8Array | null)[], count: number): Row[];
}

/** Fields up to which code is generated. */
const generatedFieldsMax = 100;

/**
 * Builders of objects with these fields, cached for the thread: all channels that carry a shape then make objects of one
 * hidden class, and operators reading them stay monomorphic.
 */
export function objectBuilder(names: readonly string[]): ObjectBuilder {
  const cacheKey = JSON.stringify(names);
  const cached = builders.get(cacheKey);
  if (cached !== undefined) return cached;
  if (builders.size >= buildersMax) builders.clear();
  const builder = makeBuilder(names);
  builders.set(cacheKey, builder);
  return builder;
}

const buildersMax = 1024;
const builders = new Map<string, ObjectBuilder>();

function makeBuilder(decodedNames: readonly string[]): ObjectBuilder {
  const names = decodedNames.map(asPropertyKey);
  // Assigning a name that Object.prototype has would call a setter (__proto__) or fail where the prototype is frozen.
  const plain = names.every((name) => !(name in Object.prototype));
  if (!plain || names.length > generatedFieldsMax) return definingBuilder(names);
  return new Function('names', 'prototype', builderText(names.length))(names, Object.prototype) as ObjectBuilder;
}

/** `this[name] = value` in a constructor makes objects of one hidden class without field names in the text. */
function builderText(fieldCount: number): string {
  const fields = Array.from({ length: fieldCount }, (_, index) => index);
  const each = (text: (index: number) => string, separator = '\n') => fields.map(text).join(separator);
  return `
    ${each((index) => `const name${index} = names[${index}];`)}
    function Shape(${each((index) => `value${index}`, ', ')}) {
      ${each((index) => `this[name${index}] = value${index};`)}
    }
    Shape.prototype = prototype;
    return {
      exact(columns, count) {
        ${each((index) => `const column${index} = columns[${index}];`)}
        const rows = new Array(count);
        for (let row = 0; row < count; row++) {
          rows[row] = new Shape(${each((index) => `column${index}[row]`, ', ')});
        }
        return rows;
      },
      optional(columns, present, count) {
        ${each((index) => `const column${index} = columns[${index}], present${index} = present[${index}]; let at${index} = 0;`)}
        const rows = new Array(count);
        for (let row = 0; row < count; row++) {
          const object = {};
          ${each((index) => `if (present${index} === null || present${index}[row] === 1) object[name${index}] = column${index}[at${index}++];`)}
          rows[row] = object;
        }
        return rows;
      },
    };`;
}

/** Slow and right for every name. */
function definingBuilder(names: readonly string[]): ObjectBuilder {
  const optional: ObjectBuilder['optional'] = (columns, present, count) => {
    const next = new Array<number>(names.length).fill(0);
    const rows: Row[] = [];
    for (let row = 0; row < count; row++) {
      const object: Record<string, unknown> = {};
      for (let index = 0; index < names.length; index++) {
        if (present[index]?.[row] === 0) continue;
        const at = next[index] as number;
        defineField(object, names[index] as string, (columns[index] as ArrayLike<unknown>)[at]);
        next[index] = at + 1;
      }
      rows.push(object);
    }
    return rows;
  };
  const everywhere = names.map(() => null);
  return { exact: (columns, count) => optional(columns, everywhere, count), optional };
}
