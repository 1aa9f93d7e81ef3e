/**
 * A file system for tests that stops at a chosen operation, like a process that is killed there: that operation does nothing (a
 * write leaves half of its bytes), and so does every later one. Everything else is the real file system.
 */
import type { OutputFile, SinkFileSystem } from './file-system.ts';
import { localFileSystem } from './file-system.ts';

export class Crash extends Error {}

/** Wraps the file system of the machine; `stopAt` counts changing operations from 0, Infinity for none. */
export function crashingFileSystem(stopAt: number): SinkFileSystem & { readonly operations: string[] } {
  const operations: string[] = [];
  const step = (name: string, onCrash?: () => Promise<void>): Promise<void> => {
    operations.push(name);
    if (operations.length - 1 < stopAt) return Promise.resolve();
    const first = operations.length - 1 === stopAt;
    return (first && onCrash !== undefined ? onCrash() : Promise.resolve()).then(() =>
      Promise.reject(new Crash(`crash at ${name}`)),
    );
  };
  const file = (inner: OutputFile): OutputFile => ({
    write: async (bytes) => {
      await step('write', () => inner.write(bytes.subarray(0, bytes.length >> 1)));
      await inner.write(bytes);
    },
    sync: async () => {
      await step('sync');
      await inner.sync();
    },
    // A dead process closes its files too.
    close: () => inner.close(),
  });
  return {
    ...localFileSystem,
    operations,
    makeDirectory: (path) => step('makeDirectory').then(() => localFileSystem.makeDirectory(path)),
    create: (path) => step('create').then(async () => file(await localFileSystem.create(path))),
    openAppend: (path) => step('openAppend').then(async () => file(await localFileSystem.openAppend(path))),
    truncate: (path, bytes) => step('truncate').then(() => localFileSystem.truncate(path, bytes)),
    rename: (from, to) => step('rename').then(() => localFileSystem.rename(from, to)),
    remove: (path) => step('remove').then(() => localFileSystem.remove(path)),
    syncDirectory: (path) => step('syncDirectory').then(() => localFileSystem.syncDirectory(path)),
  };
}
