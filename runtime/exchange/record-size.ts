/**
 * Size of a record without encoding it: a walk over its structure. Used where a bound is wanted and no bytes exist (same-slot
 * channels), and to find the culprit in a batch that is too large. An estimate: long collections are sampled, and the walk
 * stops after a number of nodes, so a hostile or cyclic value costs a bounded time.
 */
const nodesMax = 4096;
const sampledElements = 64;
const depthMax = 64;
const objectOverheadBytes = 16;

let nodesLeft = 0;

/** About the bytes `value` takes when encoded; never throws, whatever the value is. */
export function approximateRecordBytes(value: unknown): number {
  nodesLeft = nodesMax;
  return sizeOf(value, 0);
}

function sizeOf(value: unknown, depth: number): number {
  nodesLeft -= 1;
  switch (typeof value) {
    case 'string':
      return value.length + 2;
    case 'number':
      return 8;
    case 'bigint':
      return 16;
    case 'object':
      return value === null ? 1 : sizeOfObject(value, depth);
    default:
      return 1;
  }
}

function sizeOfObject(value: object, depth: number): number {
  if (depth >= depthMax || nodesLeft <= 0) return objectOverheadBytes;
  if (Array.isArray(value)) return sizeOfArray(value, depth);
  if (ArrayBuffer.isView(value)) return value.byteLength + objectOverheadBytes;
  if (value instanceof Date) return 8;
  if (value instanceof Map || value instanceof Set) return sizeOfCollection(value, depth);
  let bytes = objectOverheadBytes;
  for (const key in value) {
    bytes += 1 + sizeOf((value as Record<string, unknown>)[key], depth + 1);
    if (nodesLeft <= 0) break;
  }
  return bytes;
}

function sizeOfArray(values: readonly unknown[], depth: number): number {
  const sampled = Math.min(values.length, sampledElements);
  if (sampled === 0) return objectOverheadBytes;
  const step = Math.floor(values.length / sampled);
  let bytes = 0;
  for (let i = 0; i < sampled; i++) bytes += sizeOf(values[i * step], depth + 1);
  return objectOverheadBytes + Math.round((bytes * values.length) / sampled);
}

function sizeOfCollection(values: ReadonlyMap<unknown, unknown> | ReadonlySet<unknown>, depth: number): number {
  let bytes = 0;
  let sampled = 0;
  for (const entry of values) {
    bytes += sizeOf(entry, depth + 1);
    sampled += 1;
    if (sampled === sampledElements) break;
  }
  return sampled === 0 ? objectOverheadBytes : objectOverheadBytes + Math.round((bytes * values.size) / sampled);
}
