/** The manifest of a completed checkpoint as bytes: what the pointer of a job refers to. */
import { EngineError } from '../../core/errors.ts';
import { manifestFormatVersion } from '../manifest-format.ts';
import type { Manifest } from '../messages.ts';
import { manifest } from './codecs.ts';

export function encodeManifest(value: Manifest): Uint8Array {
  return manifest.encode(value);
}

/**
 * @throws EngineError CHECKPOINT_UNREADABLE when a newer release wrote it
 * @throws EngineError PROTOCOL when the bytes are not a manifest
 */
export function decodeManifest(bytes: Uint8Array): Manifest {
  const value = manifest.decode(bytes);
  if (value.formatVersion < 1 || value.formatVersion > manifestFormatVersion) {
    const id = value.checkpointId;
    throw new EngineError(
      'CHECKPOINT_UNREADABLE',
      `the manifest of checkpoint ${id} of job "${value.jobName}" has format ${value.formatVersion}, this release reads 1..${manifestFormatVersion}; run the release that wrote it, or a newer one`,
      { domain: 'external', ids: { jobName: value.jobName, checkpointId: id } },
    );
  }
  return value;
}
