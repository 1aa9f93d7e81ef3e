/** Handles of declared state, bound to the key of the current call, and the tables behind them. */
import { decodeKey } from '../../core/codec/key-codec.ts';
import { assert, assertNever } from '../../core/errors.ts';
import type { Key } from '../../core/operators.ts';
import type { MapState, StateDeclarations, StateHandles, ValueState } from '../../core/state/declarations.ts';
import type { KeyedTable } from './keyed-table.ts';
import { MapTable } from './map-table.ts';
import { ObjectTable } from './object-table.ts';
import type { RowCache } from './row-cache.ts';
import type { TableOwner } from './row-table.ts';

/** The key whose state the handles show. */
export interface KeyScope {
  key: Key;
}

class ValueHandle implements ValueState<unknown> {
  readonly #table: ObjectTable;
  readonly #scope: KeyScope;

  constructor(table: ObjectTable, scope: KeyScope) {
    this.#table = table;
    this.#scope = scope;
  }

  value(): unknown {
    return this.#table.get(this.#scope.key);
  }

  /** `update(undefined)` is `clear()`: undefined means "no value". */
  update(value: unknown): void {
    if (value === undefined) this.#table.delete(this.#scope.key);
    else this.#table.set(this.#scope.key, value);
  }

  clear(): void {
    this.#table.delete(this.#scope.key);
  }
}

class MapHandle implements MapState<Key, unknown> {
  readonly #table: MapTable;
  readonly #scope: KeyScope;

  constructor(table: MapTable, scope: KeyScope) {
    this.#table = table;
    this.#scope = scope;
  }

  get(key: Key): unknown {
    return this.#table.get(this.#scope.key, key);
  }

  has(key: Key): boolean {
    return this.#table.has(this.#scope.key, key);
  }

  set(key: Key, value: unknown): void {
    this.#table.set(this.#scope.key, key, value);
  }

  delete(key: Key): void {
    this.#table.delete(this.#scope.key, key);
  }

  entries(): IterableIterator<[Key, unknown]> {
    return this.#table.entries(this.#scope.key);
  }

  clear(): void {
    this.#table.clear(this.#scope.key);
  }
}

/** The tables of all declared states of an operator. */
export class StateTables {
  /** Tables with one row per key, known before a record is processed. */
  readonly keyedTables: KeyedTable[] = [];
  readonly #values = new Map<string, ObjectTable>();
  readonly #maps = new Map<string, MapTable>();

  addValue(name: string, table: ObjectTable): void {
    this.#values.set(name, table);
    this.keyedTables.push(table);
  }

  addMap(name: string, table: MapTable): void {
    this.#maps.set(name, table);
    this.keyedTables.push(table.heads);
  }

  has(name: string): boolean {
    return this.#values.has(name) || this.#maps.has(name);
  }

  restoreRow(name: string, key: Uint8Array, keyGroup: number, value: Uint8Array | null): void {
    const map = this.#maps.get(name);
    if (map !== undefined) return map.restoreRow(key, keyGroup, value);
    const decoded = decodeKey(key);
    assert(decoded.end === key.length, `rows of value state '${name}' are addressed by their key alone`);
    this.#values.get(name)?.restoreRow(decoded.key, keyGroup, value);
  }

  /** All rows were restored. */
  restored(): void {
    for (const map of this.#maps.values()) map.linkRestored();
  }
}

export function createStateHandles(
  declarations: StateDeclarations,
  owner: TableOwner,
  scope: KeyScope,
  newCache: () => RowCache,
): { handles: StateHandles<StateDeclarations>; tables: StateTables } {
  const tables = new StateTables();
  const handles: Record<string, ValueState<unknown> | MapState<Key, unknown>> = {};
  for (const [name, declaration] of Object.entries(declarations)) {
    switch (declaration.kind) {
      case 'value': {
        const table = new ObjectTable(owner, name);
        newCache().add(table);
        tables.addValue(name, table);
        handles[name] = new ValueHandle(table, scope);
        break;
      }
      case 'map': {
        const table = new MapTable(owner, name);
        newCache().add(table);
        tables.addMap(name, table);
        handles[name] = new MapHandle(table, scope);
        break;
      }
      default:
        assertNever(declaration, 'state declaration');
    }
  }
  return { handles: handles as unknown as StateHandles<StateDeclarations>, tables };
}
