/**
 * Declared state of triggers and window functions, under names that cannot clash: `trigger.count`, `window.seen`, `key.total`.
 * State of a window has window ids for keys.
 */
import type { Key } from '../../../../core/operators.ts';
import type { StateDeclarations, StateHandles } from '../../../../core/state/declarations.ts';
import type { Prefetch } from '../../../state/prefetch.ts';
import type { RowCache } from '../../../state/row-cache.ts';
import type { TableOwner } from '../../../state/row-table.ts';
import { createStateHandles, type KeyScope, type StateTables } from '../../../state/state-handles.ts';
import type { CallGate } from '../../call-gate.ts';

/** Prefixes of declared state. */
export const statePrefix = { key: 'key.', window: 'window.', trigger: 'trigger.' } as const;

/** The key that handles show, during calls of user code and for the operator itself. */
class WindowScope implements KeyScope {
  isInternal = false;
  readonly #gate: CallGate;
  readonly #what: string;
  #key: Key = 0;

  constructor(gate: CallGate, prefix: string) {
    this.#gate = gate;
    this.#what = `${prefix.slice(0, -1)} state`;
  }

  get key(): Key {
    if (!this.#gate.isOpen && !this.isInternal) this.#gate.check(this.#what);
    return this.#key;
  }

  set key(key: Key) {
    this.#key = key;
  }
}

export class ScopedState {
  readonly handles: StateHandles<StateDeclarations>;
  readonly #scope: WindowScope;
  readonly #tables: StateTables;
  readonly #names: readonly string[];
  readonly #prefix: string;
  readonly #clearable: readonly { clear(): void }[];

  /** @param gate open while user code may use the handles */
  constructor(
    prefix: string,
    declarations: StateDeclarations,
    owner: TableOwner,
    newCache: () => RowCache,
    gate: CallGate,
  ) {
    this.#scope = new WindowScope(gate, prefix);
    this.#prefix = prefix;
    this.#names = Object.keys(declarations);
    const named = Object.fromEntries(
      Object.entries(declarations).map(([name, declared]) => [`${prefix}${name}`, declared]),
    );
    const { handles, tables } = createStateHandles(named, owner, this.#scope, newCache);
    this.#tables = tables;
    this.handles = this.#unprefixed(handles);
    this.#clearable = Object.values(this.handles) as unknown as readonly { clear(): void }[];
  }

  /** What the handles show from now on. */
  scopeTo(key: Key): void {
    this.#scope.key = key;
  }

  /** Handles that show `otherScope.key`, whatever the others show. */
  handlesOf(otherScope: KeyScope): StateHandles<StateDeclarations> {
    const entries = this.#names.map((name) => {
      const handle = this.handles[name] as object;
      return [name, movedHandle(handle, this.#scope, otherScope)] as const;
    });
    return Object.fromEntries(entries) as never;
  }

  /** Removes all state in scope. */
  clear(): void {
    this.#scope.isInternal = true;
    for (const handle of this.#clearable) handle.clear();
    this.#scope.isInternal = false;
  }

  need(prefetch: Prefetch, key: Key): void {
    for (const table of this.#tables.keyedTables) prefetch.need(table, key);
  }

  has(stateName: string): boolean {
    return this.#tables.has(stateName);
  }

  restoreRow(stateName: string, key: Uint8Array, keyGroup: number, value: Uint8Array | null): void {
    this.#tables.restoreRow(stateName, key, keyGroup, value);
  }

  /** All rows were restored. */
  restored(): void {
    this.#tables.restored();
  }

  #unprefixed(handles: StateHandles<StateDeclarations>): StateHandles<StateDeclarations> {
    return Object.fromEntries(this.#names.map((name) => [name, handles[`${this.#prefix}${name}`]])) as never;
  }
}

/** Every method of a handle, with the scope of the handle set to another key during the call. */
function movedHandle(handle: object, scope: KeyScope, otherScope: KeyScope): object {
  const methods = Object.getOwnPropertyNames(Object.getPrototypeOf(handle)).filter((name) => name !== 'constructor');
  const moved = methods.map((name) => {
    const method = (handle as Record<string, unknown>)[name] as (...values: unknown[]) => unknown;
    const call = (...values: unknown[]): unknown => {
      const before = scope.key;
      scope.key = otherScope.key;
      try {
        return method.apply(handle, values);
      } finally {
        scope.key = before;
      }
    };
    return [name, call] as const;
  });
  return Object.fromEntries(moved);
}
