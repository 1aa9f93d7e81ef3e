/**
 * The sessions of each key: which windows there are and whose state each has. When windows become one, the new window keeps
 * the state of the earliest, so that its records need not move; the state of the others is moved to it. One row per key.
 *
 * @see Flink MergingWindowSet
 */
import { decodeKey } from '../../../../core/codec/key-codec.ts';
import { assert } from '../../../../core/errors.ts';
import type { Key } from '../../../../core/operators.ts';
import { ObjectTable } from '../../../state/object-table.ts';
import type { Prefetch } from '../../../state/prefetch.ts';
import type { RowCache } from '../../../state/row-cache.ts';
import type { TableOwner } from '../../../state/row-table.ts';
import type { WindowId } from './window-id.ts';

/** A session: its bounds now, and those of the window whose state it has. */
export interface Session {
  readonly start: number;
  readonly end: number;
  readonly stateStart: number;
  readonly stateEnd: number;
}

/** What adding a window did. */
export interface SessionMerge {
  readonly session: Session;
  /** Sessions that were there and are part of `session` now, the earliest first; empty when its bounds were there before. */
  readonly merged: readonly Session[];
}

/** Fields of a session in its row. */
const fieldCount = 4;

export class SessionSets {
  readonly stateName = 'sessions';
  readonly #table: ObjectTable;

  constructor(owner: TableOwner, newCache: () => RowCache) {
    this.#table = new ObjectTable(owner, this.stateName);
    newCache().add(this.#table);
  }

  /** True when a session of the key touches or overlaps `[start, end)`. */
  touches(key: Key, start: number, end: number): boolean {
    return sessionsOf(this.#table.get(key)).some((session) => touch(session, start, end));
  }

  /** The sessions that a record with the window `[start, end)` would become part of, as far as they are in the slot. */
  knownTouching(key: Key, start: number, end: number): readonly Session[] {
    const slot = this.#table.index.find(key);
    if (slot < 0 || !this.#table.isPresent(slot)) return [];
    return sessionsOf(this.#table.valueAt(slot)).filter((session) => touch(session, start, end));
  }

  /** The session with exactly these bounds; undefined when there is none (any more). */
  find(key: Key, start: number, end: number): Session | undefined {
    return sessionsOf(this.#table.get(key)).find((session) => session.start === start && session.end === end);
  }

  /** As `find`, without reading the database. */
  findKnown(key: Key, start: number, end: number): Session | undefined {
    return this.knownTouching(key, start, end).find((session) => session.start === start && session.end === end);
  }

  add(key: Key, start: number, end: number): SessionMerge {
    const sessions = sessionsOf(this.#table.get(key));
    const merged = sessions.filter((session) => touch(session, start, end));
    const first = merged[0];
    const session: Session = {
      start: Math.min(start, first?.start ?? start),
      end: merged.reduce((latest, other) => Math.max(latest, other.end), end),
      stateStart: first?.stateStart ?? start,
      stateEnd: first?.stateEnd ?? end,
    };
    if (first !== undefined && merged.length === 1 && first.start === session.start && first.end === session.end)
      return { session, merged: [] };
    this.#store(key, [...sessions.filter((other) => !merged.includes(other)), session]);
    return { session, merged };
  }

  remove(key: Key, session: Session): void {
    const left = sessionsOf(this.#table.get(key)).filter((other) => other.start !== session.start);
    this.#store(key, left);
  }

  need(prefetch: Prefetch, key: Key): void {
    prefetch.need(this.#table, key);
  }

  restoreRow(bytes: Uint8Array, keyGroup: number, value: Uint8Array | null): void {
    const { key, end } = decodeKey(bytes);
    assert(end === bytes.length, 'the sessions of a key are addressed by the key alone');
    this.#table.restoreRow(key, keyGroup, value);
  }

  #store(key: Key, sessions: readonly Session[]): void {
    if (sessions.length === 0) return this.#table.delete(key);
    const sorted = [...sessions].sort((left, right) => left.start - right.start);
    this.#table.set(
      key,
      sorted.flatMap((session) => [session.start, session.end, session.stateStart, session.stateEnd]),
    );
  }
}

/** Whose state a session has. */
export function stateIdOf(key: Key, session: Session): WindowId {
  return [key, session.stateStart, session.stateEnd];
}

/** Both ends inclusive, as in Flink: `[0, 10)` and `[10, 20)` become one. */
function touch(session: Session, start: number, end: number): boolean {
  return session.start <= end && session.end >= start;
}

function sessionsOf(row: unknown): Session[] {
  const numbers = (row ?? []) as readonly number[];
  const sessions: Session[] = [];
  for (let at = 0; at < numbers.length; at += fieldCount) {
    const [start, end, stateStart, stateEnd] = numbers.slice(at, at + fieldCount) as [number, number, number, number];
    sessions.push({ start, end, stateStart, stateEnd });
  }
  return sessions;
}
