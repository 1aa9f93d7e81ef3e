/**
 * What a split of a file source names: a file as it was when the input was planned. Its length and a fingerprint of both
 * ends travel with the split, so that a file that was replaced between a checkpoint and a recovery is an error and not
 * silently different records at the same offsets. The modification time is left out on purpose: copies of one input on
 * several machines differ in it.
 */
import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { resolve } from 'node:path';
import { EngineError } from '../../core/connector/index.ts';
import { inputNotFound, storageError, systemCode } from './storage-error.ts';

/** A file to read, as it was when the input was planned. */
export interface FileSplit {
  /** Path as the user wrote it (or below the directory the user named); resolved against the working directory. */
  readonly path: string;
  readonly bytes: number;
  /** Hash of the first and last 4 KiB. */
  readonly fingerprint: string;
  /** Row group to read, for parquet files split by row group. */
  readonly rowGroup?: number;
}

const fingerprintEndBytes = 4096;

/** Opens for reading; the error for a missing file names the absolute path and the working directory. */
export async function openInput(path: string, workingDirectory: string): Promise<FileHandle> {
  const absolute = resolve(workingDirectory, path);
  try {
    return await open(absolute, 'r');
  } catch (error) {
    const code = systemCode(error);
    if (code === 'ENOENT' || code === 'ENOTDIR') throw inputNotFound(absolute, workingDirectory, error);
    throw storageError('opening', absolute, error);
  }
}

/** Reads exactly `length` bytes at `offset`, fewer only at the end of the file. */
export async function readFully(handle: FileHandle, offset: number, length: number): Promise<Buffer> {
  const buffer = Buffer.allocUnsafeSlow(length);
  let filled = 0;
  while (filled < length) {
    const { bytesRead } = await handle.read(buffer, filled, length - filled, offset + filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return filled === length ? buffer : buffer.subarray(0, filled);
}

async function fingerprintOf(handle: FileHandle, bytes: number): Promise<string> {
  const hash = createHash('sha256');
  hash.update(await readFully(handle, 0, Math.min(bytes, fingerprintEndBytes)));
  if (bytes > fingerprintEndBytes)
    hash.update(await readFully(handle, bytes - fingerprintEndBytes, fingerprintEndBytes));
  return hash.digest('hex').slice(0, 32);
}

/** The split of a whole file. */
export async function describeInput(path: string, workingDirectory: string): Promise<FileSplit> {
  const handle = await openInput(path, workingDirectory);
  try {
    const { size } = await handle.stat();
    return { path, bytes: size, fingerprint: await fingerprintOf(handle, size) };
  } finally {
    await handle.close();
  }
}

/** Opens the file of a split and fails when it is no longer the file that was planned. The caller closes the handle. */
export async function openPlannedInput(split: FileSplit, workingDirectory: string): Promise<FileHandle> {
  const handle = await openInput(split.path, workingDirectory);
  try {
    const { size } = await handle.stat();
    if (size !== split.bytes || (await fingerprintOf(handle, size)) !== split.fingerprint) {
      const absolute = resolve(workingDirectory, split.path);
      const how = size === split.bytes ? 'its content differs' : `it had ${split.bytes} bytes and now has ${size}`;
      throw new EngineError(
        'INPUT_MALFORMED',
        `the input ${absolute} changed after the job planned it: ${how}. Offsets in the checkpoint no longer mean the same records: put the old file back, or start the job anew.`,
        { ids: { path: absolute } },
      );
    }
    return handle;
  } catch (error) {
    await handle.close();
    throw error;
  }
}
