/**
 * The few file operations durable storage is made of, one call each, so that tests can record their order and make any of
 * them fail. Decides nothing: which call follows which is in local-directory.ts and durable-file.ts.
 */
import { constants } from 'node:fs';
import { mkdir, open, readdir, rename, stat, unlink, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';

export interface OpenFile {
  /** Writes all of `bytes` at the end. */
  append(bytes: Uint8Array): Promise<void>;
  /** Reads into `target` from `position` until it is full or the file ends; returns the bytes read. */
  read(target: Uint8Array, position: number): Promise<number>;
  /** fsync: contents are durable when resolved. */
  sync(): Promise<void>;
  /** Length in bytes. */
  length(): Promise<number>;
  close(): Promise<void>;
}

export interface DirectoryEntry {
  readonly name: string;
  readonly isDirectory: boolean;
}

/** Errors are those of `node:fs`: branch on `code`. */
export interface FileSystem {
  /** Creates one directory, readable by its owner only; one that exists is no error. */
  makeDirectory(path: string): Promise<void>;
  /** Creates a file that must not exist, readable by its owner only. What was appended can be read. */
  create(path: string): Promise<OpenFile>;
  open(path: string): Promise<OpenFile>;
  rename(from: string, to: string): Promise<void>;
  remove(path: string): Promise<void>;
  /** fsync of a directory: names in it are durable when resolved. */
  syncDirectory(path: string): Promise<void>;
  /** Entries of a directory; empty when it does not exist. */
  list(path: string): Promise<DirectoryEntry[]>;
  /** Null when nothing has that name. */
  status(path: string): Promise<{ readonly bytes: number; readonly modifiedMs: number } | null>;
}

/** The `code` of an error of `node:fs`, or undefined. */
export function systemErrorCode(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}

class NodeOpenFile implements OpenFile {
  readonly #handle: FileHandle;

  constructor(handle: FileHandle) {
    this.#handle = handle;
  }

  async append(bytes: Uint8Array): Promise<void> {
    let written = 0;
    // A write may be short (a nearly full disk): what is left is written by the next call, which then says why.
    while (written < bytes.length) {
      const { bytesWritten } = await this.#handle.write(bytes, written, bytes.length - written, null);
      written += bytesWritten;
    }
  }

  async read(target: Uint8Array, position: number): Promise<number> {
    let filled = 0;
    while (filled < target.length) {
      const { bytesRead } = await this.#handle.read(target, filled, target.length - filled, position + filled);
      if (bytesRead === 0) break;
      filled += bytesRead;
    }
    return filled;
  }

  sync(): Promise<void> {
    return this.#handle.sync();
  }

  async length(): Promise<number> {
    return (await this.#handle.stat()).size;
  }

  close(): Promise<void> {
    return this.#handle.close();
  }
}

/** The file system of this machine. */
export const nodeFileSystem: FileSystem = {
  async makeDirectory(path) {
    try {
      await mkdir(path, { mode: 0o700 });
    } catch (error) {
      if (systemErrorCode(error) !== 'EEXIST') throw error;
    }
  },
  async create(path) {
    return new NodeOpenFile(await open(path, 'wx+', 0o600));
  },
  async open(path) {
    return new NodeOpenFile(await open(path, 'r'));
  },
  rename,
  remove: unlink,
  async syncDirectory(path) {
    const handle = await open(path, constants.O_RDONLY | constants.O_DIRECTORY);
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  },
  async list(path) {
    try {
      const entries = await readdir(path, { withFileTypes: true });
      return entries.map((entry) => ({ name: entry.name, isDirectory: entry.isDirectory() }));
    } catch (error) {
      if (systemErrorCode(error) === 'ENOENT') return [];
      throw error;
    }
  },
  async status(path) {
    try {
      const { size, mtimeMs } = await stat(path);
      return { bytes: size, modifiedMs: mtimeMs };
    } catch (error) {
      if (systemErrorCode(error) === 'ENOENT') return null;
      throw error;
    }
  },
};

/** Path of a segment list below a directory. */
export const pathBelow = (directory: string, name: string): string => join(directory, ...name.split('/'));
