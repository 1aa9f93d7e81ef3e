/**
 * Changelog streams: a stream of changes of a table. What a stream may contain is known when the job is planned, so that an
 * operator that would give wrong results on changes is refused before anything runs.
 *
 * - `append`: inserts only; every record counts for itself.
 * - `retract`: every change takes back exactly the row it replaces: `updateBefore` (the old row) then `updateAfter`, or
 *   `delete`. Whoever adds rows up can subtract.
 * - `upsert`: `updateAfter` and `delete` of a row known by a key; the old row is not told. Cheaper, enough for tables by key.
 */
import { rowKind } from './stream/batch.ts';

/** What kinds of changes a stream has, see core/changelog.ts. */
export type ChangelogMode = 'append' | 'upsert' | 'retract';
/** What happened to a row. */
export type ChangeKind = keyof typeof rowKind;

/** A change as a record of its own; made by `changes()`. */
export interface Change<T> {
  readonly kind: ChangeKind;
  readonly value: T;
}

/** Names by the number that travels in batches. */
export const changeKinds: readonly ChangeKind[] = ['insert', 'updateBefore', 'updateAfter', 'delete'];
/** The short form people know, by the number that travels in batches. */
export const changeSigns = ['+I', '-U', '+U', '-D'] as const;
/** Short form of a change. */
export type ChangeSign = (typeof changeSigns)[number];

/** True when the change takes a row away: `updateBefore` and `delete`. */
export function takesBack(kind: number): boolean {
  return kind === rowKind.updateBefore || kind === rowKind.delete;
}

/** What a stream may contain into which streams of these modes flow. */
export function mergedMode(modes: readonly ChangelogMode[]): ChangelogMode {
  if (modes.includes('retract')) return 'retract';
  return modes.includes('upsert') ? 'upsert' : 'append';
}
