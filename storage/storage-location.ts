/** Opens the storage that a cluster shares, whatever it is. A location is plain data, so that a thread can open it for itself. */
import { join } from 'node:path';
import type { OpenFile } from './file-system.ts';
import { LocalDirectoryStore } from './local-directory.ts';
import type { ObjectStore } from './object-store.ts';
import type { S3Location } from './s3/s3-location.ts';

export type StorageLocation =
  | { readonly kind: 'directory'; readonly directory: string }
  | {
      readonly kind: 's3';
      readonly s3: S3Location;
      /** Of this process alone; for files on their way, which have no names. */
      readonly localDirectory: string;
    };

export interface OpenedStorage {
  readonly store: ObjectStore;
  /** A file for bytes that nobody needs after this process. @throws EngineError STORAGE_FULL, STORAGE_FAILED */
  createScratch(): Promise<OpenFile>;
  /** @throws EngineError CONFIG_INVALID when the storage is there and cannot be used as it is configured */
  check(): Promise<void>;
  /** Ends what runs. */
  close(): void;
}

/** @throws EngineError CONFIG_INVALID when keys cannot be read */
export async function openStorage(location: StorageLocation): Promise<OpenedStorage> {
  if (location.kind === 'directory') {
    const store = new LocalDirectoryStore(location.directory);
    return { store, createScratch: () => store.createScratch(), check: async () => undefined, close: () => undefined };
  }
  const scratch = new LocalDirectoryStore(join(location.localDirectory, 's3.scratch'));
  const openScratch = (): Promise<OpenFile> => scratch.createScratch();
  // Only who needs it: threads and the commands of one machine start without an HTTP client.
  const { S3ObjectStore } = await import('./s3/s3-object-store.ts');
  const store = new S3ObjectStore({ location: location.s3, openScratch });
  return { store, createScratch: openScratch, check: () => store.check(), close: () => store.close() };
}
