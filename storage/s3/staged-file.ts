/** Bytes on their way to or from S3, in a local file without a name: the length and hash of an upload must be known before it begins. */
import { createHash } from 'node:crypto';
import { EngineError } from '../../core/errors.ts';
import type { OpenFile } from '../file-system.ts';
import { storageError } from '../storage-errors.ts';

export type OpenScratch = () => Promise<OpenFile>;

const readBytes = 256 * 1024;
/** How such a file is called in errors. */
export const stagedFileName = 'temporary file of an object';

/** Content that can be sent again from its beginning. */
export interface StagedContent {
  readonly bytes: number;
  readonly sha256: string;
  /** For one request; memory holds a small part at a time. */
  body(): Uint8Array | ReadableStream<Uint8Array>;
  close(): Promise<void>;
}

/** What is in memory anyway. */
export function stagedBytes(content: Uint8Array): StagedContent {
  const sha256 = createHash('sha256').update(content).digest('hex');
  return { bytes: content.length, sha256, body: () => content, close: async () => undefined };
}

/**
 * Writes all of `content` to a temporary file.
 * @throws EngineError NOT_SUPPORTED above `bytesMax`; STORAGE_FULL, STORAGE_FAILED; whatever the content throws, as it is
 */
export async function stagedFile(
  name: string,
  content: AsyncIterable<Uint8Array>,
  openScratch: OpenScratch,
  bytesMax: number,
): Promise<StagedContent> {
  const file = await openScratch();
  try {
    const hash = createHash('sha256');
    let bytes = 0;
    for await (const chunk of content) {
      bytes += chunk.length;
      if (bytes > bytesMax) throw tooLarge(name, bytesMax);
      hash.update(chunk);
      await append(file, chunk);
    }
    const sha256 = hash.digest('hex');
    return { bytes, sha256, body: () => ReadableStream.from(partsOf(file, bytes)), close: () => closeQuietly(file) };
  } catch (error) {
    await closeQuietly(file);
    throw error;
  }
}

async function append(file: OpenFile, chunk: Uint8Array): Promise<void> {
  try {
    await file.append(chunk);
  } catch (error) {
    throw storageError(error, 'write', stagedFileName);
  }
}

async function* partsOf(file: OpenFile, bytes: number): AsyncGenerator<Uint8Array> {
  for (let position = 0; position < bytes; ) {
    // A buffer for each: the one before may still wait to be sent.
    const part = new Uint8Array(Math.min(readBytes, bytes - position));
    const filled = await file.read(part, position);
    if (filled !== part.length) throw new Error(`the ${stagedFileName} ended at ${position + filled}`);
    position += filled;
    yield part;
  }
}

export function tooLarge(name: string, bytesMax: number): EngineError {
  const message = `${name} has more than ${bytesMax} bytes, which is what S3 takes in one request → use more task managers or a higher parallelism, so that each file is smaller, or a directory as storage`;
  return new EngineError('NOT_SUPPORTED', message, { domain: 'external', ids: { object: name } });
}

/** Nothing in the file is needed any more. */
export async function closeQuietly(file: OpenFile): Promise<void> {
  await file.close().catch(() => undefined);
}
