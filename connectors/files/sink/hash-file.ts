/** Content hash of a file, read in bounded pieces. */
import { createHash } from 'node:crypto';
import type { SinkFileSystem } from './file-system.ts';

/** Hex digits of the SHA-256 of the file's content. */
export async function hashFile(path: string, fileSystem: SinkFileSystem): Promise<string> {
  const hash = createHash('sha256');
  for await (const piece of fileSystem.read(path)) hash.update(piece);
  return hash.digest('hex');
}
