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

/** Bits that are set in `unit | (unit - 2)` unless the unit stands in the key as one byte of its own: 02 .. 7F. */
const notPlain = ~0x7f;

function hashString(key: string): number {
  const length = key.length;
  if (length < 3) return hashRest(key, 0, 0, keyTags.string, 8);
  const unit0 = key.charCodeAt(0);
  const unit1 = key.charCodeAt(1);
  const unit2 = key.charCodeAt(2);
  if (((unit0 | (unit0 - 2) | unit1 | (unit1 - 2) | unit2 | (unit2 - 2)) & notPlain) !== 0) return hashEncoded(key);
  let hash = mixBlock(0, keyTags.string | (unit0 << 8) | (unit1 << 16) | (unit2 << 24));
  let index = 3;
  for (; index + 4 <= length; index += 4) {
    const a = key.charCodeAt(index);
    const b = key.charCodeAt(index + 1);
    const c = key.charCodeAt(index + 2);
    const d = key.charCodeAt(index + 3);
    if (((a | (a - 2) | b | (b - 2) | c | (c - 2) | d | (d - 2)) & notPlain) !== 0) return hashEncoded(key);
    hash = mixBlock(hash, a | (b << 8) | (c << 16) | (d << 24));
  }
  return hashRest(key, index, hash, 0, 0);
}

/** At most three units into a block that holds `shift` bits so far, then the end mark. */
function hashRest(key: string, start: number, hash: number, begun: number, startShift: number): number {
  let block = begun;
  let shift = startShift;
  for (let index = start; index < key.length; index++) {
    const unit = key.charCodeAt(index);
    if (((unit | (unit - 2)) & notPlain) !== 0) return hashEncoded(key);
    block |= unit << shift;
    shift += 8;
  }
  // The end mark is 0: it changes no block, but may complete one.
  return finish(shift === 24 ? mixBlock(hash, block) : mixTail(hash, block), key.length + 2);
}
