/**
 * The few file operations a sink needs, as an interface, so that tests can make any of them fail or stop. The real one below
 * adds nothing: what has to be synced, and when, is decided by the writer and the committer.
 */
import { mkdir, open, readFile, readdir, rename, stat, truncate, unlink } from 'node:fs/promises';
import { systemCode } from '../storage-error.ts';

export interface OutputFile {
  /** Appends all the bytes. */
  write(bytes: Uint8Array): Promise<void>;
  sync(): Promise<void>;
  close(): Promise<void>;
}

export interface SinkFileSystem {
  makeDirectory(path: string): Promise<void>;
  /** Creates a file that must not exist. */
  create(path: string): Promise<OutputFile>;
  /** Opens a file, made when absent, for appending. */
  openAppend(path: string): Promise<OutputFile>;
  /** The bytes of a file in pieces of bounded size. */
  read(path: string): AsyncIterable<Uint8Array>;
  readWhole(path: string): Promise<Buffer>;
  /** Length in bytes, or null when there is no such file. */
  length(path: string): Promise<number | null>;
  truncate(path: string, bytes: number): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  /** Removes a file; an absent one is no error. */
  remove(path: string): Promise<void>;
  /** Names in a directory, sorted; none when it does not exist. */
  names(directory: string): Promise<string[]>;
  /** Makes created, renamed and removed names durable. */
  syncDirectory(directory: string): Promise<void>;
}

const readBytes = 256 * 1024;

async function outputFile(path: string, flags: string): Promise<OutputFile> {
  const handle = await open(path, flags);
  return {
    async write(bytes) {
      let written = 0;
      while (written < bytes.length)
        written += (await handle.write(bytes, written, bytes.length - written)).bytesWritten;
    },
    sync: () => handle.sync(),
    close: () => handle.close(),
  };
}

async function* readPieces(path: string): AsyncIterable<Uint8Array> {
  const handle = await open(path, 'r');
  try {
    for (;;) {
      const buffer = Buffer.allocUnsafeSlow(readBytes);
      const { bytesRead } = await handle.read(buffer, 0, readBytes, null);
      if (bytesRead === 0) return;
      yield buffer.subarray(0, bytesRead);
    }
  } finally {
    await handle.close();
  }
}

async function orWhenAbsent<T>(operation: Promise<T>, absent: T): Promise<T> {
  try {
    return await operation;
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return absent;
    throw error;
  }
}

/** The file system of this machine. */
export const localFileSystem: SinkFileSystem = {
  makeDirectory: async (path) => void (await mkdir(path, { recursive: true })),
  create: (path) => outputFile(path, 'wx'),
  openAppend: (path) => outputFile(path, 'a'),
  read: readPieces,
  readWhole: (path) => readFile(path),
  length: (path) =>
    orWhenAbsent<number | null>(
      stat(path).then(({ size }) => size),
      null,
    ),
  truncate: (path, bytes) => truncate(path, bytes),
  rename: (from, to) => rename(from, to),
  remove: (path) => orWhenAbsent(unlink(path), undefined),
  names: async (directory) => (await orWhenAbsent(readdir(directory), [])).sort(),
  async syncDirectory(directory) {
    const handle = await open(directory, 'r');
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  },
};
