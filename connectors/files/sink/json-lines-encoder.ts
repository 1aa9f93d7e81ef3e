/**
 * Records as JSON lines. `JSON.stringify` loses some values silently (a Map becomes `{}`, a top-level undefined nothing, a
 * typed array an object of indices): those are looked for first and refused with the path of the field, because a file is for
 * keeps. What JSON cannot tell apart but readers expect stays as `JSON.stringify` does it: a Date is its ISO text, an undefined
 * field is left out, NaN and the infinities are null.
 */
import { EngineError } from '../../../core/connector/index.ts';
import type { RecordEncoder } from './record-encoder.ts';

const depthMax = 64;

export class JsonLinesEncoder<T> implements RecordEncoder<T> {
  readonly extension = 'jsonl';

  header(): string {
    return '';
  }

  encode(value: T): string {
    assertEncodable(value);
    return `${JSON.stringify(value)}\n`;
  }
}

function assertEncodable(value: unknown): void {
  if (typeof value === 'object' && value !== null) {
    assertFields(value, null, 0);
  } else if (value === undefined || !isScalar(value)) {
    throw notEncodable(value, null, '');
  }
}

/** Path of the object in hand as a linked list: built per object, made text only for an error. */
interface FieldPath {
  readonly parent: FieldPath | null;
  readonly name: string;
}

function isScalar(value: unknown): boolean {
  const type = typeof value;
  return type === 'string' || type === 'number' || type === 'boolean' || type === 'undefined' || value === null;
}

function assertFields(object: object, path: FieldPath | null, depth: number): void {
  if (depth > depthMax) throw tooDeep(path);
  if (Array.isArray(object)) {
    for (let index = 0; index < object.length; index++) {
      const item: unknown = object[index];
      if (typeof item === 'object' && item !== null)
        assertFields(item, { parent: path, name: String(index) }, depth + 1);
      else if (!isScalar(item)) throw notEncodable(item, path, String(index));
    }
    return;
  }
  const prototype: unknown = Object.getPrototypeOf(object);
  if (prototype !== Object.prototype && prototype !== null) return assertSpecial(object, path);
  for (const name in object) {
    const item: unknown = (object as Record<string, unknown>)[name];
    if (typeof item === 'object' && item !== null) assertFields(item, { parent: path, name }, depth + 1);
    else if (!isScalar(item)) throw notEncodable(item, path, name);
  }
}

function assertSpecial(object: object, path: FieldPath | null): void {
  if (object instanceof Date && !Number.isNaN(object.getTime())) return;
  throw notEncodable(object, path?.parent ?? null, path?.name ?? '');
}

function pathText(path: FieldPath | null, name: string): string {
  const names = name === '' ? [] : [name];
  for (let at = path; at !== null; at = at.parent) names.unshift(at.name);
  return names.length === 0 ? 'the record itself' : `field ${names.join('.')}`;
}

function describe(value: unknown): string {
  if (typeof value === 'object' && value !== null) {
    return value instanceof Date ? 'an invalid Date' : `a ${value.constructor?.name ?? 'class instance'}`;
  }
  return value === undefined ? 'undefined' : `a ${typeof value}`;
}

function notEncodable(value: unknown, path: FieldPath | null, name: string): EngineError {
  return new EngineError(
    'VALUE_NOT_ENCODABLE',
    `${pathText(path, name)} is ${describe(value)}, which JSON has no form for → map the record before the sink, for example bigint to string, Map to Object.fromEntries(map)`,
    { ids: { field: pathText(path, name) } },
  );
}

function tooDeep(path: FieldPath | null): EngineError {
  return new EngineError(
    'VALUE_NOT_ENCODABLE',
    `a record is nested deeper than ${depthMax} levels or refers to itself, near ${pathText(path, '').slice(0, 40)}… → map it to plain data before the sink`,
  );
}
