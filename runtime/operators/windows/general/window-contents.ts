/**
 * What a window keeps between its records and its firing: the records (`RecordContents`), what `reduce` made of them, or
 * accumulators. One implementation each; the window operators do not know which they have.
 */
import { decodeKey } from '../../../../core/codec/key-codec.ts';
import { assert } from '../../../../core/errors.ts';
import type { AggregateSet } from '../../../../core/aggregate.ts';
import type { ReduceFunction } from '../../../../core/operators.ts';
import type { WindowElement } from '../../../../core/window-functions.ts';
import { AggregateLayout } from '../../../state/aggregate-layout.ts';
import { ColumnTable } from '../../../state/column-table.ts';
import type { KeyedTable } from '../../../state/keyed-table.ts';
import { ObjectTable } from '../../../state/object-table.ts';
import type { Prefetch } from '../../../state/prefetch.ts';
import type { RowCache } from '../../../state/row-cache.ts';
import type { TableOwner } from '../../../state/row-table.ts';
import { RecordList } from './record-list.ts';
import { type WindowId, windowOwner } from './window-id.ts';

/** Contents of windows by window id. */
export interface WindowContents {
  readonly stateNames: readonly string[];
  has(id: WindowId): boolean;
  /** @throws what the user's functions throw; then nothing has changed */
  add(id: WindowId, value: unknown, timestamp: number): void;
  /** What the window function gets, or is emitted without one. @throws what the user's functions throw */
  read(id: WindowId, start: number, end: number): unknown;
  clear(id: WindowId): void;
  /** Adds the contents of one window, which has some, to another's. @throws what the user's functions throw */
  move(from: WindowId, to: WindowId): void;
  /** Announces the rows that a record (or, `toRead`, a firing) of the window needs. */
  need(prefetch: Prefetch, id: WindowId, toRead: boolean): void;
  restoreRow(stateName: string, bytes: Uint8Array, keyGroup: number, value: Uint8Array | null): void;
}

export class RecordContents implements WindowContents {
  readonly list: RecordList;

  constructor(owner: TableOwner, stateName: string, timed: boolean, newCache: () => RowCache) {
    this.list = new RecordList(owner, stateName, timed, newCache);
  }

  get stateNames(): readonly string[] {
    return this.list.stateNames;
  }

  has(id: WindowId): boolean {
    return this.list.has(id);
  }

  add(id: WindowId, value: unknown, timestamp: number): void {
    this.list.append(id, value, timestamp);
  }

  read(id: WindowId): unknown {
    return this.list.values(id);
  }

  elements(id: WindowId): readonly WindowElement<unknown>[] {
    return this.list.elements(id);
  }

  clear(id: WindowId): void {
    this.list.clear(id);
  }

  move(from: WindowId, to: WindowId): void {
    this.list.move(from, to);
  }

  need(prefetch: Prefetch, id: WindowId, toRead: boolean): void {
    this.list.need(prefetch, id, toRead);
  }

  restoreRow(stateName: string, bytes: Uint8Array, keyGroup: number, value: Uint8Array | null): void {
    this.list.restoreRow(stateName, bytes, keyGroup, value);
  }
}

/** Contents that are one row per window. */
abstract class OneRowContents<Table extends KeyedTable> implements WindowContents {
  protected readonly table: Table;

  constructor(table: Table, newCache: () => RowCache) {
    this.table = table;
    newCache().add(table);
  }

  abstract add(id: WindowId, value: unknown, timestamp: number): void;
  abstract read(id: WindowId, start: number, end: number): unknown;
  abstract move(from: WindowId, to: WindowId): void;

  get stateNames(): readonly string[] {
    return [this.table.stateName];
  }

  has(id: WindowId): boolean {
    return this.table.find(id) >= 0;
  }

  clear(id: WindowId): void {
    const slot = this.table.find(id);
    if (slot >= 0) this.table.deleteRow(slot);
  }

  need(prefetch: Prefetch, id: WindowId): void {
    prefetch.need(this.table, id);
  }

  restoreRow(stateName: string, bytes: Uint8Array, keyGroup: number, value: Uint8Array | null): void {
    const { key, end } = decodeKey(bytes);
    assert(end === bytes.length, `rows of state '${stateName}' are addressed by one tuple`);
    this.table.restoreRow(key, keyGroup, value);
  }
}

type AnyReduce = (left: unknown, right: unknown) => unknown;

export class ReduceContents extends OneRowContents<ObjectTable> {
  readonly #reduce: AnyReduce;

  constructor(owner: TableOwner, stateName: string, reduce: ReduceFunction<never>, newCache: () => RowCache) {
    super(new ObjectTable(windowOwner(owner), stateName), newCache);
    this.#reduce = reduce as unknown as AnyReduce;
  }

  add(id: WindowId, value: unknown): void {
    if (!this.has(id)) return this.table.set(id, value);
    this.table.set(id, this.#reduce(this.table.get(id), value));
  }

  read(id: WindowId): unknown {
    return this.table.get(id);
  }

  move(from: WindowId, to: WindowId): void {
    this.add(to, this.table.get(from));
    this.clear(from);
  }
}

export class AggregateContents extends OneRowContents<ColumnTable> {
  constructor(owner: TableOwner, stateName: string, aggregates: AggregateSet<never>, newCache: () => RowCache) {
    super(new ColumnTable(windowOwner(owner), stateName, new AggregateLayout(aggregates, 3)), newCache);
  }

  add(id: WindowId, value: unknown): void {
    this.table.add(id, value);
  }

  read(id: WindowId, start: number, end: number): unknown {
    return this.table.resultOf(this.table.find(id), id[0], start, end);
  }

  move(from: WindowId, to: WindowId): void {
    // Both are made resident before either is used: finding one may not evict the other, since eviction is between records.
    const source = this.table.find(from);
    const isNew = this.table.find(to) < 0;
    const target = this.table.upsert(to);
    try {
      this.table.mergeRow(target, source);
    } catch (error) {
      if (isNew) this.table.deleteRow(target);
      throw error;
    }
    this.table.deleteRow(source);
  }
}
