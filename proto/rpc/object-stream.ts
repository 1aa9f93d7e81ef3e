/** Objects as streams of messages: cut for sending, put together and checked on arrival. */
import { createHash } from 'node:crypto';
import { EngineError } from '../../core/errors.ts';
import type { ObjectHeader } from '../client-messages.ts';
import { objectChunk } from './client-codecs.ts';

/** One part of an object at most; what a receiver holds at least. */
export const chunkMaxBytes = 1024 * 1024;
/** What is sent at once: a receiver that stalls holds about sixteen of them. */
export const chunkBytes = 256 * 1024;

function broken(header: ObjectHeader, what: string): EngineError {
  const { kind, sha256 } = header;
  const message = `the ${kind} ${sha256.slice(0, 12)} that was sent ${what}; send it again`;
  return new EngineError('PROTOCOL', message, { domain: 'external', retry: 'backoff', ids: { sha256 } });
}

/** The messages that carry an object: the first has the header, all have at most {@link chunkBytes}. */
export async function* encodeObject(
  header: ObjectHeader,
  chunks: AsyncIterable<Uint8Array>,
): AsyncIterable<Uint8Array> {
  let first: ObjectHeader | null = header;
  for await (const chunk of chunks) {
    for (let start = 0; start < chunk.byteLength; start += chunkBytes) {
      yield objectChunk.encode({ header: first, data: chunk.subarray(start, start + chunkBytes) });
      first = null;
    }
  }
  if (first !== null) yield objectChunk.encode({ header: first, data: new Uint8Array() });
}

/**
 * Header and bytes of an object from its messages.
 * @throws EngineError PROTOCOL when the first message has no header; iterating throws it when there are more or fewer bytes
 *   than the header says, or others
 */
export async function decodeObject(
  messages: AsyncIterable<Uint8Array>,
): Promise<{ readonly header: ObjectHeader; readonly chunks: AsyncIterable<Uint8Array> }> {
  const iterator = messages[Symbol.asyncIterator]();
  const first = await iterator.next();
  const opening = first.done === true ? null : objectChunk.decode(first.value);
  if (opening === null || opening.header === null) {
    await iterator.return?.();
    throw new EngineError(
      'PROTOCOL',
      'an object was sent without its header; check that both sides run the same release',
      {
        domain: 'external',
      },
    );
  }
  return { header: opening.header, chunks: checked(opening.header, opening.data, iterator) };
}

async function* checked(
  header: ObjectHeader,
  first: Uint8Array,
  rest: AsyncIterator<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  const hash = createHash('sha256');
  let bytes = 0;
  const check = (data: Uint8Array): Uint8Array => {
    if (data.byteLength > chunkMaxBytes) throw broken(header, `came in a chunk of more than ${chunkMaxBytes} bytes`);
    bytes += data.byteLength;
    if (bytes > header.bytes) throw broken(header, `has more than the ${header.bytes} bytes it was said to have`);
    hash.update(data);
    return data;
  };
  try {
    yield check(first);
    for (let next = await rest.next(); next.done !== true; next = await rest.next()) {
      const chunk = objectChunk.decode(next.value);
      if (chunk.header !== null) throw broken(header, 'has a second header');
      yield check(chunk.data);
    }
    if (bytes < header.bytes) throw broken(header, `has ${bytes} of the ${header.bytes} bytes it was said to have`);
    if (hash.digest('hex') !== header.sha256) throw broken(header, 'is not what its hash says');
  } finally {
    await rest.return?.();
  }
}
