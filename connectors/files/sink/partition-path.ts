/** Names of partitions: directories below the output directory, given by the user for each record. */
import { EngineError } from '../../../core/connector/index.ts';

/** Partitions that files of one output directory go to, such as `dt=2026-03-01/hm=23:59`. */
const segmentPattern = /^[^\\/\0]+$/;

/**
 * A partition must stay below the output directory, and must not look like what the sink itself keeps there.
 * @throws EngineError VALUE_NOT_ENCODABLE
 */
export function checkPartition(partition: unknown, directory: string): void {
  const segments = typeof partition === 'string' ? partition.split('/') : [];
  const valid =
    segments.length > 0 && segments.every((segment) => segmentPattern.test(segment) && !/^[._]/.test(segment));
  if (valid) return;
  throw new EngineError(
    'VALUE_NOT_ENCODABLE',
    `partitionBy gave ${JSON.stringify(partition) ?? String(partition)} for a record of the file sink ${directory}. A partition is a relative path such as "dt=2026-03-01/hour=23", whose parts are not empty and do not begin with "." or "_".`,
    { ids: { path: directory } },
  );
}
