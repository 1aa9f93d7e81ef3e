/**
 * Small JSON records in files that are replaced as a whole. Each carries its own checksum, so a cut or changed file is
 * noticed and never taken for an older or empty one.
 */
import { createHash } from 'node:crypto';
import { EngineError } from '../../core/errors.ts';

const magic = 'millrace-record 1';

export function encodeRecord(value: object): Uint8Array {
  const json = JSON.stringify(value);
  return Buffer.from(`${magic} ${sha256(json)}\n${json}\n`);
}

/**
 * @param path named in the error
 * @throws EngineError CHECKPOINT_UNREADABLE when the bytes are not a whole record
 */
export function decodeRecord(bytes: Uint8Array, path: string): unknown {
  const text = Buffer.from(bytes).toString('utf8');
  const lineEnd = text.indexOf('\n');
  const json = text.slice(lineEnd + 1, -1);
  const expected = `${magic} ${sha256(json)}`;
  if (lineEnd < 0 || !text.endsWith('\n') || text.slice(0, lineEnd) !== expected) {
    throw new EngineError(
      'CHECKPOINT_UNREADABLE',
      `${path} is cut or changed (its checksum does not match) → restore this file from a backup; if there is none, drop state and results with --fresh`,
      { domain: 'external', ids: { path } },
    );
  }
  return JSON.parse(json);
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
