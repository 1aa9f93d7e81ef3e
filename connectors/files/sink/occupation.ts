/** What earlier runs left in an output directory, and how to remove exactly that. */
import { join } from 'node:path';
import type { SinkOccupation } from '../../../core/connector/index.ts';
import { isEngineError } from '../../../core/errors.ts';
import { storageError } from '../storage-error.ts';
import type { SinkFileSystem } from './file-system.ts';
import { hashFile } from './hash-file.ts';
import { manifestName, readManifest } from './manifest.ts';
import type { Manifest } from './manifest.ts';
import { parseHiddenName } from './part-names.ts';

/** Null when no committed (or half committed) file is in the directory. */
export async function directoryOccupation(
  directory: string,
  fileSystem: SinkFileSystem,
): Promise<SinkOccupation | null> {
  const manifest = await readManifest(directory, fileSystem);
  if (manifest === null || manifest.committed.size + manifest.intended.size === 0) return null;
  const files = manifest.committed.size;
  let records = 0;
  for (const file of manifest.committed.values()) records += file.records;
  return {
    description: `${directory} holds ${files} committed ${files === 1 ? 'file' : 'files'} (${records} records) of job "${manifest.header.jobName}"`,
    async clear() {
      try {
        await clearDirectory(directory, manifest, fileSystem);
      } catch (error) {
        throw isEngineError(error) ? error : storageError('clearing', directory, error);
      }
    },
  };
}

async function clearDirectory(directory: string, manifest: Manifest, fileSystem: SinkFileSystem): Promise<void> {
  for (const name of manifest.committed.keys()) await fileSystem.remove(join(directory, name));
  for (const { name, bytes, sha256 } of manifest.intended.values()) {
    // A crash may have come before the rename, and the name be someone else's: only our content goes.
    const path = join(directory, name);
    if ((await fileSystem.length(path)) === bytes && (await hashFile(path, fileSystem)) === sha256)
      await fileSystem.remove(path);
  }
  for (const name of await fileSystem.names(directory)) {
    if (parseHiddenName(manifest.header.owner, name) !== null) await fileSystem.remove(join(directory, name));
  }
  // Last: as long as it is there, a clearing that was cut short can be repeated.
  await fileSystem.remove(join(directory, manifestName));
  await fileSystem.syncDirectory(directory);
}
