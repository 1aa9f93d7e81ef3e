/**
 * Small files that are replaced as a whole: pointers to the newest checkpoint, counters. The one place where a name
 * changes its meaning, so a reader sees either the old or the new contents, also after a power cut.
 */
import { randomUUID } from 'node:crypto';
import { dirname, join } from 'node:path';
import { nodeFileSystem, systemErrorCode, type FileSystem } from './file-system.ts';
import { temporaryPrefix } from './object-store.ts';
import { storageError } from './storage-errors.ts';

/**
 * Replaces (or makes) a file; durable when resolved. Its directory must exist. After an error the file has its old or its new
 * contents, never a mixture; the caller reads it back before it decides anything.
 * @throws EngineError STORAGE_FULL, STORAGE_FAILED
 */
export async function replaceFile(path: string, bytes: Uint8Array, files: FileSystem = nodeFileSystem): Promise<void> {
  const directory = dirname(path);
  const temporary = join(directory, temporaryPrefix + randomUUID());
  try {
    await writeAndSync(temporary, bytes, files);
    await files.rename(temporary, path);
    await files.syncDirectory(directory);
  } catch (error) {
    // After the rename there is no temporary file any more, and the new contents stay.
    await files.remove(temporary).catch(() => undefined);
    throw storageError(error, 'replace', path);
  }
}

async function writeAndSync(path: string, bytes: Uint8Array, files: FileSystem): Promise<void> {
  const file = await files.create(path);
  try {
    await file.append(bytes);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** The contents of a file, or null when it does not exist. @throws EngineError STORAGE_FAILED */
export async function readFileIfPresent(path: string, files: FileSystem = nodeFileSystem): Promise<Uint8Array | null> {
  try {
    const file = await files.open(path);
    try {
      const bytes = new Uint8Array(await file.length());
      const filled = await file.read(bytes, 0);
      return bytes.subarray(0, filled);
    } finally {
      await file.close();
    }
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return null;
    throw storageError(error, 'read', path);
  }
}
