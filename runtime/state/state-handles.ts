/** Handles of declared state, bound to the key of the current call, and the tables behind them. */
import { decodeKey } from '../../core/codec/key-codec.ts';
import { assertNever, EngineError } from '../../core/errors.ts';
import type { Key } from '../../core/operators.ts';
import type { StateDeclaration, StateDeclarations, StateHandles } from '../../core/state/declarations.ts';
import type { ExpiryCleaner } from './expiry.ts';
import { createAggregatingState } from './handles/aggregating-state.ts';
import { createListState } from './handles/list-state.ts';
import { createMapState } from './handles/map-state.ts';
import type { DeclaredState, KeyScope, StateParts } from './handles/state-kind.ts';
import { createValueState } from './handles/value-state.ts';
import type { KeyedTable } from './keyed-table.ts';
import type { RowCache } from './row-cache.ts';
import { type RowKind, rowKindOf } from './row-layout.ts';
import type { TableOwner } from './row-table.ts';
import { type StateClock, ttlOf } from './ttl.ts';

export type { KeyScope } from './handles/state-kind.ts';

/** The tables of all declared states of an operator. */
export class StateTables {
  /** Tables with one row per key, known before a record is processed. */
  readonly keyedTables: KeyedTable[] = [];
  readonly #operatorId: string;
  readonly #states = new Map<string, DeclaredState>();
  /** Of states with a time to live. */
  readonly #cleaners: { readonly table: KeyedTable; readonly cleaner: ExpiryCleaner }[] = [];

  constructor(operatorId: string) {
    this.#operatorId = operatorId;
  }

  add(name: string, state: DeclaredState): void {
    this.#states.set(name, state);
    this.keyedTables.push(state.keyedTable);
    for (const cleaner of state.cleaners) this.#cleaners.push({ table: state.keyedTable, cleaner });
  }

  has(name: string): boolean {
    return this.#states.has(name);
  }

  /** The table that has a row for every key with this state; null when it is not declared. */
  tableOf(name: string): KeyedTable | null {
    return this.#states.get(name)?.keyedTable ?? null;
  }

  handleOf(name: string): object | null {
    return this.#states.get(name)?.handle ?? null;
  }

  restoreRow(name: string, key: Uint8Array, keyGroup: number, value: Uint8Array | null): void {
    const state = this.#states.get(name);
    if (state === undefined) return;
    if (value !== null) this.#checkKind(name, state, key, value);
    state.restoreRow(key, keyGroup, value);
  }

  /** A row of the restored checkpoint that went to the database. */
  noteStored(name: string, key: Uint8Array, value: Uint8Array | null): void {
    const state = this.#states.get(name);
    if (state === undefined || value === null) return;
    this.#checkKind(name, state, key, value);
    state.noteStored(key, value);
  }

  /** All rows were restored. */
  restored(): void {
    for (const state of this.#states.values()) state.restored();
  }

  /** Beside a database: announces rows that may have expired, with those of a record. */
  planExpiry(need: (table: KeyedTable, key: Key) => void): void {
    for (const { table, cleaner } of this.#cleaners) cleaner.plan((key) => need(table, key));
  }

  /** Between records: removes some of what has expired. */
  expireSome(): void {
    for (const { cleaner } of this.#cleaners) cleaner.step();
  }

  #checkKind(name: string, state: DeclaredState, key: Uint8Array, value: Uint8Array): void {
    const kind = rowKindOf(value, decodeKey(key).end < key.length);
    // A version nobody knows is the table's to refuse.
    if (kind === null || kind === state.rowKind) return;
    throw changedKind(this.#operatorId, name, kind, state.rowKind);
  }
}

const kindInWords: Readonly<Record<RowKind, string>> = {
  value: 'valueState or reducingState',
  map: 'mapState',
  list: 'listState',
  aggregating: 'aggregatingState',
};

function changedKind(operatorId: string, name: string, before: RowKind, now: RowKind): EngineError {
  const message = `changed state types: state '${name}' of operator '${operatorId}' is ${kindInWords[before]} in the checkpoint and is now declared as ${kindInWords[now]}: give the new state another name, or start the job fresh`;
  return new EngineError('GRAPH_CHANGED', message, { ids: { operator: operatorId, state: name } });
}

/** @param clock null where nothing moves it and removes what has expired: a time to live is refused then */
export function createStateHandles(
  declarations: StateDeclarations,
  owner: TableOwner,
  scope: KeyScope,
  newCache: () => RowCache,
  clock: StateClock | null = null,
): { handles: StateHandles<StateDeclarations>; tables: StateTables } {
  const tables = new StateTables(owner.operatorId);
  const handles: Record<string, object> = {};
  for (const [name, declaration] of Object.entries(declarations)) {
    if (clock === null && declaration.options?.ttl !== undefined) throw ttlNotSupported(owner.operatorId, name);
    const ttl = clock === null ? null : ttlOf(declaration.options, clock);
    const state = createState(declaration, { owner, name, scope, ttl });
    newCache().add(state.evictable);
    tables.add(name, state);
    handles[name] = state.handle;
  }
  return { handles: handles as unknown as StateHandles<StateDeclarations>, tables };
}

function ttlNotSupported(operatorId: string, name: string): EngineError {
  const message = `state '${name}' of operator '${operatorId}' has a ttl, which state of windows does not take: it is removed with its window; leave the ttl out`;
  return new EngineError('NOT_SUPPORTED', message, { ids: { operator: operatorId, state: name } });
}

function createState(declaration: StateDeclaration, parts: StateParts): DeclaredState {
  switch (declaration.kind) {
    case 'value':
      return createValueState(parts, null);
    case 'reducing':
      return createValueState(parts, declaration.reduce as (left: unknown, right: unknown) => unknown);
    case 'map':
      return createMapState(parts);
    case 'list':
      return createListState(parts);
    case 'aggregating':
      return createAggregatingState(parts, declaration.aggregate);
    default:
      return assertNever(declaration, 'state declaration');
  }
}
