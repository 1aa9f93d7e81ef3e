/**
 * Names of fields read from bytes, by a direct-mapped cache of the thread. A decoder meets the same few names again and
 * again; what comes out is the unique string V8 uses as a property key, while a freshly decoded one would be looked up on
 * every store (measured: four times the cost of decoding a small object).
 */
import { readLatin1 } from './string-bytes.ts';

/** A name, and whether an object takes it by plain assignment. */
export interface FieldName {
  readonly name: string;
  /**
   * False for names `Object.prototype` has: assigning would call a setter (`__proto__`) or fail where the prototype is
   * frozen. Such fields are defined.
   */
  readonly assignable: boolean;
}

/** Longer names are rare, and comparing them costs more than it saves. */
export const cachedNameLengthMax = 32;
const entryCount = 2048;
const entries: (FieldName | undefined)[] = new Array<FieldName | undefined>(entryCount).fill(undefined);

/** The field name in the Latin-1 bytes `start .. end - 1`. */
export function fieldNameOf(bytes: Uint8Array, start: number, end: number): FieldName {
  if (end - start > cachedNameLengthMax) return makeFieldName(readLatin1(bytes, start, end));
  let hash = end - start;
  for (let index = start; index < end; index++) hash = (Math.imul(hash, 31) + (bytes[index] as number)) | 0;
  const slot = (hash ^ (hash >>> 11)) & (entryCount - 1);
  const entry = entries[slot];
  if (entry !== undefined && isName(entry.name, bytes, start, end)) return entry;
  const made = makeFieldName(readLatin1(bytes, start, end));
  entries[slot] = made;
  return made;
}

/** A name that is not cached. */
export function makeFieldName(name: string): FieldName {
  return { name: asPropertyKey(name), assignable: !(name in Object.prototype) };
}

/** The unique string that property keys are. */
export function asPropertyKey(name: string): string {
  return Object.keys({ [name]: 0 })[0] as string;
}

function isName(name: string, bytes: Uint8Array, start: number, end: number): boolean {
  if (name.length !== end - start) return false;
  for (let index = 0; index < name.length; index++) if (name.charCodeAt(index) !== bytes[start + index]) return false;
  return true;
}

/** Gives the object the field as data, whatever its prototype has under that name. */
export function defineField(object: object, name: string, value: unknown): void {
  Object.defineProperty(object, name, { value, enumerable: true, configurable: true, writable: true });
}
