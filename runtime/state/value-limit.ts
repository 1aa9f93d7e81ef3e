/**
 * How large one value of state may be: as large as one record. A value is written whole at every change, and is in memory
 * several times while it is (in the row, in a block, in the store's sort buffer), so one without a bound takes the slot down.
 */
import { EngineError } from '../../core/errors.ts';
import { defaultExchangeLimits } from '../exchange/exchange-limits.ts';

/** Bytes of one value of value and reducing state, or of one entry of a map: as large as one record may be. */
export const stateValueMaxBytes = defaultExchangeLimits.recordMaxBytes;
/** Bytes of one row of several values: the entries of a small map, a chunk of a list, the accumulators of a key. */
export const stateRowMaxBytes = 4 * stateValueMaxBytes;
/** What the encoding adds at most to one string or byte array: version, type, length, the time of its last access. */
export const valueEnvelopeBytes = 64;

const valueLimitText = `stateValueMaxBytes (${stateValueMaxBytes})`;

/** Whether a value is certainly too large, as far as can be told without encoding it: bytes by their length, text by its own. */
export function isSurelyTooLarge(value: unknown): boolean {
  if (typeof value === 'string') return value.length > stateValueMaxBytes;
  return value instanceof Uint8Array && value.byteLength > stateValueMaxBytes;
}

/** @param limit the name and value of what was passed */
export function valueTooLarge(
  operatorId: string,
  stateName: string,
  key: string,
  bytes: number,
  limit: string = valueLimitText,
): EngineError {
  return new EngineError(
    'RECORD_TOO_LARGE',
    `state '${stateName}' of operator '${operatorId}', key ${key}: a value of ${bytes} bytes, more than ` +
      `${limit} → spread it over the entries of a mapState or the elements of a ` +
      'listState, or keep the large part outside and store a reference',
    { ids: { operator: operatorId, state: stateName, bytes } },
  );
}
