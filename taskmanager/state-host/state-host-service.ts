/**
 * What the state host answers. Synchronous: a request is done when the call returns, so the order of messages is the order of
 * effects. The host never waits for a slot.
 *
 * Fencing: one database per slot of a job, owned by the newest attempt that was attached. Requests of an older attempt are
 * refused for ever, so a slot that was given up but still runs can neither read nor change what its successor sees.
 */
import { EngineError, toWireError, type WireError } from '../../core/errors.ts';
import { ColdDatabase } from './cold-database.ts';
import { forEachPackedRow, packValues, type PackedRows } from './row-packing.ts';
import type { SlotToStateHost, StateHostSlot, StateHostToSlot } from './state-host-messages.ts';

interface OwnedDatabase {
  readonly attempt: number;
  /** Null once its attempt has closed it; the attempt is remembered, so that older ones stay refused. */
  database: ColdDatabase | null;
}

const nothing = new Uint8Array(0);
const ownerKey = ({ jobName, slotIndex }: StateHostSlot): string => `${slotIndex} ${jobName}`;

export class StateHostService {
  readonly #databases = new Map<string, OwnedDatabase>();

  /** A newer attempt begins with an empty database (its rows come from the checkpoint); an older one gets nothing. */
  attach(slot: StateHostSlot): void {
    const owned = this.#databases.get(ownerKey(slot));
    if (owned !== undefined && owned.attempt >= slot.attempt) return;
    this.#databases.set(ownerKey(slot), { attempt: slot.attempt, database: new ColdDatabase() });
  }

  /** The slot's connection is gone: its rows are of no use to anybody. */
  detach(slot: StateHostSlot): void {
    const owned = this.#databases.get(ownerKey(slot));
    if (owned?.attempt === slot.attempt) owned.database = null;
  }

  /** Does one request; null when there is nothing to answer. */
  handle(slot: StateHostSlot, request: SlotToStateHost): StateHostToSlot | null {
    const requestId = request.kind === 'write' ? null : request.requestId;
    try {
      const values = request.kind === 'close' ? this.#close(slot) : this.#answer(this.#databaseOf(slot), request);
      return requestId === null ? null : { kind: 'answer', requestId, values };
    } catch (error) {
      return { kind: 'refused', requestId, error: toWireError(error) satisfies WireError };
    }
  }

  #answer(database: ColdDatabase, request: Exclude<SlotToStateHost, { kind: 'close' }>): Uint8Array {
    switch (request.kind) {
      case 'write':
        applyWrites(database, request.rows);
        return nothing;
      case 'fetch':
      case 'read':
        return packValues(valuesOf(database, request.rows));
      case 'scan':
        return packValues(scanOf(database, request.rows));
      case 'sync':
        return nothing;
    }
  }

  #close(slot: StateHostSlot): Uint8Array {
    this.detach(slot);
    return nothing;
  }

  #databaseOf(slot: StateHostSlot): ColdDatabase {
    const owned = this.#databases.get(ownerKey(slot));
    if (owned?.attempt === slot.attempt && owned.database !== null) return owned.database;
    const { jobName, attempt, slotIndex } = slot;
    const newest = owned === undefined ? 'none' : String(owned.attempt);
    const reason = owned?.attempt === attempt ? 'its state was closed' : `the newest attempt of this slot is ${newest}`;
    const message = `attempt ${attempt} of job ${jobName} may not use the state of slot ${slotIndex} any more: ${reason}; this attempt ends, the newest one goes on`;
    throw new EngineError('STALE_EPOCH', message, { domain: 'internal', ids: { jobName, attempt, slotIndex } });
  }
}

function applyWrites(database: ColdDatabase, rows: PackedRows): void {
  forEachPackedRow(rows, (operatorId, stateName, keyGroup, key, value) => {
    if (value === null) database.delete(operatorId, stateName, keyGroup, key);
    else database.put(operatorId, stateName, keyGroup, key, value);
  });
}

function valuesOf(database: ColdDatabase, rows: PackedRows): (Uint8Array | undefined)[] {
  const values: (Uint8Array | undefined)[] = [];
  forEachPackedRow(rows, (operatorId, stateName, keyGroup, key) =>
    values.push(database.get(operatorId, stateName, keyGroup, key)),
  );
  return values;
}

function scanOf(database: ColdDatabase, rows: PackedRows): Uint8Array[] {
  let found: Uint8Array[] = [];
  forEachPackedRow(rows, (operatorId, stateName, keyGroup, prefix) => {
    found = database.scan(operatorId, stateName, keyGroup, prefix);
  });
  return found;
}
