/**
 * Finds out why a value cannot be encoded, and where. Walks the value again, slowly, with a path: a refusal is rare and
 * ends the attempt, so the encoder itself pays nothing for it.
 */
import { EngineError } from '../errors.ts';
import { typedArrayKinds, valueDepthMax } from './value-layout.ts';

interface Refusal {
  readonly path: string;
  readonly what: string;
}

/** The error for a value the encoder refused. */
export function valueNotEncodable(value: unknown): EngineError {
  return refusalOf(value) ?? refusalError({ path: '$', what: 'a value that changed while it was encoded' });
}

/** The error for a value if it cannot be encoded, else undefined. */
export function refusalOf(value: unknown): EngineError | undefined {
  const refusal = findRefusal(value, '$', []);
  return refusal === undefined ? undefined : refusalError(refusal);
}

function refusalError(refusal: Refusal): EngineError {
  return new EngineError(
    'VALUE_NOT_ENCODABLE',
    `a value cannot be encoded: ${refusal.path} is ${refusal.what} → convert it before it is emitted or stored: records and state are ` +
      'made of primitives, plain objects, arrays, Date, Uint8Array, typed arrays, Map and Set',
    { ids: { path: refusal.path } },
  );
}

const plainName = /^[A-Za-z_$][\w$]*$/;

function findRefusal(value: unknown, path: string, ancestors: readonly object[]): Refusal | undefined {
  if (typeof value === 'function') return { path, what: `a function${value.name === '' ? '' : ` (${value.name})`}` };
  if (typeof value === 'symbol') return { path, what: 'a symbol' };
  if (typeof value !== 'object' || value === null) return undefined;
  if (ancestors.includes(value)) return { path, what: 'an object that contains itself' };
  const what = refusedObject(value);
  if (what !== undefined) return { path, what };
  if (ArrayBuffer.isView(value) || value instanceof Date) return undefined;
  if (ancestors.length >= valueDepthMax) return { path, what: `nested deeper than ${valueDepthMax}` };
  return findRefusedChild(value, path, [...ancestors, value]);
}

function findRefusedChild(value: object, path: string, ancestors: readonly object[]): Refusal | undefined {
  for (const [child, childPath] of childrenOf(value, path)) {
    const refusal =
      child === hole ? { path: childPath, what: 'a hole of an array' } : findRefusal(child, childPath, ancestors);
    if (refusal !== undefined) return refusal;
  }
  return undefined;
}

const hole: unique symbol = Symbol('hole');

function* childrenOf(value: object, path: string): Generator<readonly [unknown, string]> {
  if (Array.isArray(value)) {
    for (let index = 0; index < value.length; index++)
      yield [index in value ? value[index] : hole, `${path}[${index}]`];
  } else if (value instanceof Map) {
    let index = 0;
    for (const [key, entry] of value) {
      yield [key, `${path}.keys()[${index}]`];
      yield [entry, `${path}.values()[${index++}]`];
    }
  } else if (value instanceof Set) {
    let index = 0;
    for (const element of value) yield [element, `${path}.values()[${index++}]`];
  } else {
    for (const key of Object.keys(value)) {
      yield [
        (value as Record<string, unknown>)[key],
        plainName.test(key) ? `${path}.${key}` : `${path}[${JSON.stringify(key)}]`,
      ];
    }
  }
}

const containers: readonly unknown[] = [
  Array.prototype,
  Date.prototype,
  Map.prototype,
  Set.prototype,
  Uint8Array.prototype,
];

/** What a refused object is, or undefined when objects of its kind are accepted. */
function refusedObject(value: object): string | undefined {
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype === Object.prototype || prototype === null || containers.includes(prototype)) return undefined;
  if (prototype === Buffer.prototype || typedArrayKinds.some((kind) => kind.prototype === prototype)) return undefined;
  const name: unknown = (value as { constructor?: { name?: unknown } }).constructor?.name;
  return typeof name === 'string' && name !== '' ? `an instance of ${name}` : 'an object with a prototype of its own';
}
