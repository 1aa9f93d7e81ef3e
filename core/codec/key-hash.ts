/**
 * Key → hash → key group: murmur3 (32 bit, seed 0) over the encoded key, as fast paths that never write the bytes of a
 * number or an ASCII string.
 *
 * Architecture invariant: the hash decides where rows of every checkpoint belong. It equals murmur3 over `encodeKey`, for
 * ever; the fast paths are checked against that.
 * @see MurmurHash3_x86_32 by Austin Appleby (public domain algorithm)
 */
import type { Key } from '../operators.ts';
import { ByteWriter } from './byte-sink.ts';
import { encodeKey } from './key-codec.ts';
import { keyTags } from './key-layout.ts';

const c1 = 0xcc9e2d51;
const c2 = 0x1b873593;

const scratch = new ByteWriter(256);
const float64 = new Float64Array(1);
const words = new Uint32Array(float64.buffer);

/** Hash of a key, 0 .. 2^32 - 1. @throws EngineError KEY_NOT_SUPPORTED */
export function hashKey(key: Key): number {
  if (typeof key === 'string') return hashString(key);
  if (typeof key === 'number') return hashNumber(key);
  return hashEncoded(key);
}

/** Key group of a key, 0 .. maxParallelism - 1. @throws EngineError KEY_NOT_SUPPORTED */
export function keyGroupOf(key: Key, maxParallelism: number): number {
  return hashKey(key) % maxParallelism;
}

/** Murmur3 over the bytes `start .. end - 1`: the definition the fast paths agree with. */
export function hashBytes(bytes: Uint8Array, start: number, end: number): number {
  let hash = 0;
  let position = start;
  for (; position + 4 <= end; position += 4) {
    const low = (bytes[position] as number) | ((bytes[position + 1] as number) << 8);
    hash = mixBlock(hash, low | ((bytes[position + 2] as number) << 16) | ((bytes[position + 3] as number) << 24));
  }
  let tail = 0;
  for (let shift = 0; position < end; shift += 8) tail |= (bytes[position++] as number) << shift;
  return finish(mixTail(hash, tail), end - start);
}

function hashEncoded(key: Key): number {
  scratch.reset();
  encodeKey(key, scratch);
  return hashBytes(scratch.buffer, 0, scratch.position);
}

function mixBlock(hash: number, block: number): number {
  const mixed = mixTail(hash, block);
  return (Math.imul((mixed << 13) | (mixed >>> 19), 5) + 0xe6546b64) | 0;
}

/** A tail of no bytes is 0 and changes nothing. */
function mixTail(hash: number, tail: number): number {
  const scrambled = Math.imul(tail, c1);
  return hash ^ Math.imul((scrambled << 15) | (scrambled >>> 17), c2);
}

function finish(hash: number, length: number): number {
  let mixed = hash ^ length;
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}

function hashNumber(key: number): number {
  // The two words of the encoded number, big-endian; see key-layout.ts.
  float64[0] = key;
  let high = words[1] as number;
  let low = words[0] as number;
  if (key > 0) {
    high ^= 0x8000_0000;
  } else if (key < 0) {
    high = ~high;
    low = ~low;
  } else {
    high = key === 0 ? 0x8000_0000 : 0xfff8_0000;
    low = 0;
  }
  // Bytes: tag h3 h2 h1 | h0 l3 l2 l1 | l0, each block little-endian.
  const first = keyTags.number | ((high >>> 24) << 8) | (((high >>> 16) & 0xff) << 16) | ((high & 0xff00) << 16);
  const second = (high & 0xff) | ((low >>> 24) << 8) | (((low >>> 16) & 0xff) << 16) | ((low & 0xff00) << 16);
  return finish(mixTail(mixBlock(mixBlock(0, first), second), low & 0xff), 9);
}

/** Units that stand in the key as one byte of their own: 02 .. 7F. */
function hashString(key: string): number {
  const length = key.length;
  let hash = 0;
  let block: number = keyTags.string;
  let shift = 8;
  for (let index = 0; index < length; index++) {
    const unit = key.charCodeAt(index);
    if (unit < 2 || unit > 0x7f) return hashEncoded(key);
    block |= unit << shift;
    shift += 8;
    if (shift === 32) {
      hash = mixBlock(hash, block);
      block = 0;
      shift = 0;
    }
  }
  // The end mark is 0: it changes no block, but completes one.
  return finish(shift === 24 ? mixBlock(hash, block) : mixTail(hash, block), length + 2);
}
