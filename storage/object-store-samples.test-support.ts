/** Producers and readers that tests of object stores share. */
import type { ObjectStore } from './object-store.ts';

/** The bytes in chunks of `size`, all in one buffer that is overwritten between chunks, as a real producer does it. */
export async function* inChunks(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  const buffer = new Uint8Array(size);
  for (let start = 0; start < bytes.length; start += size) {
    const part = bytes.subarray(start, start + size);
    buffer.set(part);
    yield buffer.subarray(0, part.length);
    buffer.fill(0);
  }
}

/** Some bytes, then an error. */
export async function* failing(bytes: Uint8Array, reason: Error): AsyncGenerator<Uint8Array> {
  yield bytes;
  throw reason;
}

/** Names of all objects below a prefix, sorted. */
export async function collectObjectNames(store: ObjectStore, prefix: string): Promise<string[]> {
  const names: string[] = [];
  for await (const { name } of store.list(prefix)) names.push(name);
  return names.sort();
}
