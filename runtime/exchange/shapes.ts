/**
 * Shapes an encoder has learned from the objects that passed. A shape is an ordered list of field names; an object belongs
 * to it when its own fields are the shape's, in order, with some left out. Objects that nearly fit widen the shape; the
 * rest make a new one, up to `shapesMax` per channel, after which they travel as stored values.
 */
import { shapeFieldsMax } from './columnar-layout.ts';
import { type FieldGathers, makeExactMatch, makeFieldGathers, type Row } from './shape-code.ts';

/** What the values of a field have been so far; only ever goes down the list of its type: int32, float64, any; text, any. */
export type FieldKind = 'unknown' | 'int32' | 'float64' | 'text' | 'any';

/** A field of a shape on the encoding side. */
export interface EncoderField {
  readonly name: string;
  readonly gathers: FieldGathers;
  kind: FieldKind;
}

/** One shape on the encoding side. */
export class EncoderShape {
  readonly names: readonly string[];
  readonly fields: readonly EncoderField[];
  /** Number under which the decoder knows it; -1 until it was written to a frame. */
  wireId = -1;
  /** True when some object left a field out: only then is the subsequence test worth its time. */
  optional = false;
  readonly matchesExactly: (object: Row) => boolean;

  constructor(names: readonly string[]) {
    this.names = names;
    this.fields = names.map((name) => ({ name, gathers: makeFieldGathers(name), kind: 'unknown' }));
    this.matchesExactly = makeExactMatch(names);
  }

  /** How many fields of the shape the object has, when it has no others and has them in order; else -1. */
  countPresent(object: Row): number {
    const names = this.names;
    let index = 0;
    let present = 0;
    for (const name in object) {
      while (names[index] !== name) if (++index >= names.length) return -1;
      index++;
      present++;
    }
    return present;
  }
}

/** A shape is not stretched over objects that have less than one in this many of its fields. */
const presentShare = 4;

export class EncoderShapes {
  readonly #shapesMax: number;
  #shapes: EncoderShape[] = [];
  #learned = 0;
  #last: EncoderShape | null = null;
  /** Whether the object last asked about has all fields of the shape that was returned for it. */
  exact = false;
  readonly #byFirstName = new Map<string, EncoderShape[]>();

  constructor(shapesMax: number) {
    this.#shapesMax = shapesMax;
  }

  /** The shape of a plain object, perhaps newly learned; null when it has none and must travel as a stored value. */
  shapeOf(object: Row): EncoderShape | null {
    const last = this.#last;
    if (last !== null && (last.optional ? this.#fits(last, object, presentShare) : last.matchesExactly(object))) {
      if (!last.optional) this.exact = true;
      return last;
    }
    const shape = this.#known(object) ?? this.#unknown(object);
    if (shape !== null) this.#last = shape;
    return shape;
  }

  #fits(shape: EncoderShape, object: Row, share: number): boolean {
    const present = shape.countPresent(object);
    if (present * share < shape.names.length) return false;
    this.exact = present === shape.names.length;
    return true;
  }

  #known(object: Row): EncoderShape | null {
    for (const first in object) {
      for (const shape of this.#byFirstName.get(first) ?? []) {
        if (!shape.matchesExactly(object)) continue;
        this.exact = true;
        return shape;
      }
      break;
    }
    return this.#fitting(object, presentShare);
  }

  #unknown(object: Row): EncoderShape | null {
    // When half of the shapes are spent, sparse objects use any shape that has all their fields.
    const spent = this.#learned * 2 >= this.#shapesMax;
    return (spent ? this.#fitting(object, shapeFieldsMax) : null) ?? this.#learn(object);
  }

  #fitting(object: Row, share: number): EncoderShape | null {
    for (const shape of this.#shapes) {
      if (!this.#fits(shape, object, share)) continue;
      shape.optional = true;
      return shape;
    }
    return null;
  }

  #learn(object: Row): EncoderShape | null {
    if (this.#learned >= this.#shapesMax) return null;
    const names = Object.keys(object);
    if (names.length === 0 || names.length > shapeFieldsMax) return null;
    const shape = this.#widened(names) ?? this.#add(new EncoderShape(names));
    this.exact = shape.names.length === names.length;
    this.#learned++;
    return shape;
  }

  /** Replaces a shape that shares most of its fields with `names` by one that has all fields of both. */
  #widened(names: readonly string[]): EncoderShape | null {
    for (const shape of this.#shapes) {
      const merged = mergeNames(shape.names, names);
      // A shape that has all the fields was passed over because the object is too sparse for it.
      if (merged === null || merged.length === shape.names.length || merged.length > shapeFieldsMax) continue;
      this.#remove(shape);
      const wider = new EncoderShape(merged);
      wider.optional = true;
      return this.#add(wider);
    }
    return null;
  }

  #add(shape: EncoderShape): EncoderShape {
    this.#shapes.push(shape);
    const first = shape.names[0] as string;
    const sameFirst = this.#byFirstName.get(first);
    if (sameFirst === undefined) this.#byFirstName.set(first, [shape]);
    else sameFirst.push(shape);
    return shape;
  }

  #remove(shape: EncoderShape): void {
    this.#shapes = this.#shapes.filter((other) => other !== shape);
    const first = shape.names[0] as string;
    this.#byFirstName.set(
      first,
      (this.#byFirstName.get(first) ?? []).filter((other) => other !== shape),
    );
    if (this.#last === shape) this.#last = null;
  }
}

/**
 * The shortest list in which both occur in order, or null when they share half of the shorter one or less, or order shared
 * names differently.
 */
export function mergeNames(left: readonly string[], right: readonly string[]): string[] | null {
  const leftSet = new Set(left);
  const rightSet = new Set(right);
  const shared = left.filter((name) => rightSet.has(name));
  const sharedRight = right.filter((name) => leftSet.has(name));
  if (shared.length * 2 <= Math.min(left.length, right.length)) return null;
  if (shared.some((name, index) => name !== sharedRight[index])) return null;
  const merged: string[] = [];
  let rightIndex = 0;
  for (const name of left) {
    if (rightSet.has(name)) {
      while (right[rightIndex] !== name) merged.push(right[rightIndex++] as string);
      rightIndex++;
    }
    merged.push(name);
  }
  return merged.concat(right.slice(rightIndex));
}
