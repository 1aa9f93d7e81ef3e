/**
 * State that lives in the state host thread, as a slot sees it. Writes, fetches and blocking reads travel on one port in the
 * order in which they were made (see state-host-messages.ts), so a read sees every write before it, however it is made.
 *
 * A blocking read sleeps on a shared word with a deadline and takes messages off the port by hand; what it finds on the way are
 * answers to earlier fetches, which are resolved and run when user code has returned. The host never waits for a slot, so
 * the sleep ends: with the answer, the death of the host, or the deadline.
 */
import { performance } from 'node:perf_hooks';
import { receiveMessageOnPort, type MessagePort } from 'node:worker_threads';
import { EngineError, fromWireError } from '../../core/errors.ts';
import type { RowAddress, StateBackend } from '../../runtime/state/backend.ts';
import type { RowSpill } from '../../runtime/state/row-spill.ts';
import { packRows, unpackValues, type PackedRows } from './row-packing.ts';
import { sharedWords, type SlotToStateHost, type StateHostToSlot } from './state-host-messages.ts';

/** Rows kept in the cache of one table: few, so that rows leave and come back all the time. */
export const coldCachedRowsMax = 100;
/** Bytes of writes that may be under way to the host; beyond, the slot waits until they are applied. */
export const writeBytesInFlightMax = 16 * 1024 * 1024;
const blockingTimeoutMsDefault = 30_000;

export interface HostBackendOptions {
  readonly cachedRowsMax?: number;
  /** Where evicted changes wait for a checkpoint; without one none may be evicted. */
  readonly spill?: RowSpill;
  /** After this a blocking read gives up: the host is stuck. Default 30 s. */
  readonly blockingTimeoutMs?: number;
  /** The host refused a write or is gone: the attempt should fail now, not at its next read. */
  readonly onFailed?: (error: EngineError) => void;
}

interface PendingAnswer {
  /** Bytes written before the request was made: applied when it is answered. */
  readonly bytesWritten: number;
  resolve(values: Uint8Array): void;
  reject(error: EngineError): void;
}

/** @param port and `shared` from `StateHost.attachSlot`; the port belongs to the backend until `close` */
export function hostBackend(
  port: MessagePort,
  shared: SharedArrayBuffer,
  options: HostBackendOptions = {},
): StateBackend {
  return new HostBackend(port, shared, options);
}

class HostBackend implements StateBackend {
  readonly resident = false;
  readonly cachedRowsMax: number;
  readonly spill: RowSpill | null;
  readonly #port: MessagePort;
  readonly #words: Int32Array;
  readonly #blockingTimeoutMs: number;
  readonly #onFailed: (error: EngineError) => void;
  readonly #pending = new Map<number, PendingAnswer>();
  #nextRequestId = 1;
  #bytesWritten = 0;
  #bytesApplied = 0;
  #failure: EngineError | null = null;
  #closing = false;

  constructor(port: MessagePort, shared: SharedArrayBuffer, options: HostBackendOptions) {
    this.cachedRowsMax = options.cachedRowsMax ?? coldCachedRowsMax;
    this.spill = options.spill ?? null;
    this.#blockingTimeoutMs = options.blockingTimeoutMs ?? blockingTimeoutMsDefault;
    this.#onFailed = options.onFailed ?? (() => undefined);
    this.#port = port;
    this.#words = new Int32Array(shared);
    port.on('message', (message: StateHostToSlot) => this.#onMessage(message));
    port.on('close', () => this.#fail(hostGone()));
  }

  fetch(rows: readonly RowAddress[]): Promise<(Uint8Array | undefined)[]> {
    return this.#ask((requestId) => ({ kind: 'fetch', requestId, rows: packAddresses(rows) })).then(unpackValues);
  }

  readBlocking(row: RowAddress): Uint8Array | undefined {
    return unpackValues(this.#askBlocking((requestId) => ({ kind: 'read', requestId, rows: packAddresses([row]) })))[0];
  }

  scanBlocking(prefix: RowAddress): { key: Uint8Array; value: Uint8Array }[] {
    const found = unpackValues(
      this.#askBlocking((requestId) => ({ kind: 'scan', requestId, rows: packAddresses([prefix]) })),
    );
    const rows: { key: Uint8Array; value: Uint8Array }[] = [];
    for (let index = 0; index < found.length; index += 2) {
      rows.push({ key: found[index] as Uint8Array, value: found[index + 1] as Uint8Array });
    }
    return rows;
  }

  write(rows: readonly { row: RowAddress; value: Uint8Array | null }[]): void {
    if (rows.length === 0) return;
    const packed = packRows(
      rows,
      (item) => item.row,
      (item) => item.value,
    );
    this.#bytesWritten += packed.bytes.length;
    this.#post({ kind: 'write', rows: packed });
    if (this.#bytesWritten - this.#bytesApplied > writeBytesInFlightMax)
      this.#askBlocking((requestId) => ({ kind: 'sync', requestId }));
  }

  async close(): Promise<void> {
    if (this.#closing) return;
    this.#closing = true;
    // A host that refuses or is gone has nothing left to close.
    if (this.#failure === null) await this.#ask((requestId) => ({ kind: 'close', requestId })).catch(() => undefined);
    this.#port.close();
    this.#fail(new EngineError('CANCELED', 'the state of this slot was closed', { domain: 'internal' }));
  }

  #ask(request: (requestId: number) => SlotToStateHost): Promise<Uint8Array> {
    return new Promise((resolve, reject) => this.#send(request, resolve, reject));
  }

  #askBlocking(request: (requestId: number) => SlotToStateHost): Uint8Array {
    const outcome: { values: Uint8Array | null; error: EngineError | null } = { values: null, error: null };
    // Read before posting: whatever happens after moves it, so no wake-up is missed.
    let answerCount = Atomics.load(this.#words, sharedWords.answerCount);
    const deadline = performance.now() + this.#blockingTimeoutMs;
    const resolve = (values: Uint8Array): void => {
      outcome.values = values;
    };
    const reject = (error: EngineError): void => {
      outcome.error = error;
    };
    this.#send(request, resolve, reject);
    for (;;) {
      this.#takeMessages();
      if (outcome.error !== null) throw outcome.error;
      if (outcome.values !== null) return outcome.values;
      const leftMs = deadline - performance.now();
      if (this.#isHostDead()) throw this.#fail(hostGone());
      if (leftMs <= 0) throw this.#fail(hostStuck(this.#blockingTimeoutMs));
      Atomics.wait(this.#words, sharedWords.answerCount, answerCount, leftMs);
      answerCount = Atomics.load(this.#words, sharedWords.answerCount);
    }
  }

  #send(
    request: (requestId: number) => SlotToStateHost,
    resolve: (values: Uint8Array) => void,
    reject: (error: EngineError) => void,
  ): void {
    if (this.#failure === null && this.#isHostDead()) this.#fail(hostGone());
    if (this.#failure !== null) return reject(this.#failure);
    const requestId = this.#nextRequestId++;
    this.#pending.set(requestId, { bytesWritten: this.#bytesWritten, resolve, reject });
    this.#post(request(requestId));
  }

  #post(message: SlotToStateHost): void {
    if (this.#failure !== null) throw this.#failure;
    this.#port.postMessage(message, 'rows' in message ? [message.rows.bytes.buffer as ArrayBuffer] : []);
  }

  #takeMessages(): void {
    for (let taken = receiveMessageOnPort(this.#port); taken !== undefined; taken = receiveMessageOnPort(this.#port)) {
      this.#onMessage(taken.message as StateHostToSlot);
    }
  }

  #onMessage(message: StateHostToSlot): void {
    if (message.kind === 'refused') {
      this.#fail(fromWireError(message.error));
      return;
    }
    const pending = this.#pending.get(message.requestId);
    if (pending === undefined) return;
    this.#pending.delete(message.requestId);
    this.#bytesApplied = Math.max(this.#bytesApplied, pending.bytesWritten);
    pending.resolve(message.values);
  }

  #isHostDead(): boolean {
    return Atomics.load(this.#words, sharedWords.hostDead) === 1;
  }

  /** The connection is of no use any more: whoever waits and whoever comes hears the first reason. */
  #fail(error: EngineError): EngineError {
    if (this.#failure !== null) return this.#failure;
    this.#failure = error;
    const waiting = [...this.#pending.values()];
    this.#pending.clear();
    for (const { reject } of waiting) reject(error);
    if (!this.#closing) this.#onFailed(error);
    return error;
  }
}

const packAddresses = (rows: readonly RowAddress[]): PackedRows =>
  packRows(
    rows,
    (row) => row,
    () => null,
  );

function hostGone(): EngineError {
  const message =
    'the state host thread is gone, and with it all state of this slot; the attempt restarts from the last checkpoint';
  return new EngineError('INTERNAL', message, { domain: 'internal', retry: 'backoff' });
}

function hostStuck(timeoutMs: number): EngineError {
  const message = `the state host thread has not answered for ${timeoutMs} ms; the attempt restarts from the last checkpoint`;
  return new EngineError('INTERNAL', message, { domain: 'internal', retry: 'backoff' });
}
