/**
 * Messages between main thread, state host and slots, and the shared words through which a slot waits.
 *
 * Everything a slot asks travels on one port, so the host sees writes and reads in the order in which the slot made them. For a
 * blocking request the slot notes the answer count, posts, and sleeps until the count has moved; the host posts the answer
 * first and moves the count after, so an answer is always there when the slot looks. Answers to earlier asynchronous requests
 * that the slot finds on the way are handed to those who wait for them.
 */
import type { MessagePort } from 'node:worker_threads';
import type { WireError } from '../../core/errors.ts';
import type { PackedRows } from './row-packing.ts';

/** A slot's connection belongs to an attempt; a newer attempt of the same slot of the same job takes its database. */
export interface StateHostSlot {
  readonly jobName: string;
  readonly attempt: number;
  readonly slotIndex: number;
}

export type MainToStateHost =
  | {
      readonly kind: 'attachSlot';
      readonly connectionId: number;
      readonly slot: StateHostSlot;
      readonly port: MessagePort;
      readonly shared: SharedArrayBuffer;
    }
  | { readonly kind: 'stop' };
export type StateHostToMain =
  | { readonly kind: 'ready' }
  /** The slot's end of a connection is gone. */
  | { readonly kind: 'detached'; readonly connectionId: number };

export type SlotToStateHost =
  | { readonly kind: 'write'; readonly rows: PackedRows }
  | { readonly kind: 'fetch'; readonly requestId: number; readonly rows: PackedRows }
  /** Blocking requests: the host moves the answer count. */
  | { readonly kind: 'read'; readonly requestId: number; readonly rows: PackedRows }
  | { readonly kind: 'scan'; readonly requestId: number; readonly rows: PackedRows }
  | { readonly kind: 'sync'; readonly requestId: number }
  | { readonly kind: 'close'; readonly requestId: number };

export type StateHostToSlot =
  /** Answer to fetch and read: packed values. To scan: packed keys and values in turn. To sync and close: nothing. */
  | { readonly kind: 'answer'; readonly requestId: number; readonly values: Uint8Array }
  /** A refused request, or a refused write (null): the connection is of no use any more. */
  | { readonly kind: 'refused'; readonly requestId: number | null; readonly error: WireError };

/** Int32 words shared by slot, host and main thread. */
export const sharedWords = {
  /** Moves with every blocking answer, and when the host dies. */
  answerCount: 0,
  /** 1 when the host is gone and nothing will be answered any more. */
  hostDead: 1,
} as const;
export const sharedBytes = 8;

/** Wakes a slot that waits: its answer was posted, or the host is gone. */
export function wakeSlot(shared: SharedArrayBuffer): void {
  const words = new Int32Array(shared);
  Atomics.add(words, sharedWords.answerCount, 1);
  Atomics.notify(words, sharedWords.answerCount);
}

/** Tells a slot, waiting or not, that the host is gone. */
export function markHostDead(shared: SharedArrayBuffer): void {
  Atomics.store(new Int32Array(shared), sharedWords.hostDead, 1);
  wakeSlot(shared);
}
