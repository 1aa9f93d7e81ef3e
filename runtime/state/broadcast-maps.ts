/**
 * Broadcast state: maps that every subtask has in full. Subtask 0 writes them, as reserved rows; every subtask reads them
 * at a restore, whatever the parallelism. Iteration follows the encoded keys, the same in every subtask.
 */
import { decodeKey } from '../../core/codec/key-codec.ts';
import { ownValue } from '../../core/codec/own.ts';
import { decodeValue } from '../../core/codec/value-codec.ts';
import type { Key } from '../../core/operators.ts';
import type {
  BroadcastState,
  BroadcastStateDeclarations,
  ReadonlyBroadcastState,
} from '../../core/state/broadcast-state.ts';
import type { RestoredRow, SnapshotTask } from '../operators/operator.ts';
import { bytesOfText, encodedText, textOfBytes } from './key-index.ts';
import { alwaysUsable, type SubtaskPlace, type UseGate } from './operator-lists.ts';
import { ReservedRows } from './reserved-rows.ts';

interface Entry {
  readonly key: Key;
  /** Plain data of any kind; who declared the state knows its type. */
  readonly value: object;
}

/** For reading; an object without the methods that write. */
class ReadHandle implements ReadonlyBroadcastState<Key, object> {
  protected readonly map = new Map<string, Entry>();
  /** Texts in order; null after a key came or went. */
  #order: readonly string[] | null = null;

  get size(): number {
    return this.map.size;
  }

  get(key: Key): object | undefined {
    return this.map.get(encodedText(key))?.value;
  }

  has(key: Key): boolean {
    return this.map.has(encodedText(key));
  }

  /** Entries deleted meanwhile are left out, new ones are not visited. */
  *entries(): IterableIterator<[Key, object]> {
    this.#order ??= [...this.map.keys()].sort();
    for (const text of this.#order) {
      const entry = this.map.get(text);
      if (entry !== undefined) yield [entry.key, entry.value];
    }
  }

  /** @param entry undefined: there is none any more */
  change(text: string, entry: Entry | undefined): void {
    if (entry === undefined || !this.map.has(text)) this.#order = null;
    if (entry === undefined) this.map.delete(text);
    else this.map.set(text, entry);
  }

  texts(): string[] {
    return [...this.map.keys()];
  }
}

/** What the main stream is given. */
class ReadView implements ReadonlyBroadcastState<Key, object> {
  readonly #map: ReadHandle;
  readonly #gate: UseGate;
  readonly #what: string;

  constructor(map: ReadHandle, gate: UseGate, name: string) {
    this.#map = map;
    this.#gate = gate;
    this.#what = `broadcast state '${name}'`;
  }

  get size(): number {
    return this.used.size;
  }

  get(key: Key): object | undefined {
    return this.used.get(key);
  }

  has(key: Key): boolean {
    return this.used.has(key);
  }

  entries(): IterableIterator<[Key, object]> {
    return this.used.entries();
  }

  protected get used(): ReadHandle {
    this.#gate.check(this.#what);
    return this.#map;
  }
}

/** What the broadcast stream is given. */
class WriteView extends ReadView implements BroadcastState<Key, object> {
  readonly #write: (key: Key, value: unknown) => void;
  readonly #remove: (key: Key) => void;

  constructor(
    given: readonly [map: ReadHandle, gate: UseGate, name: string],
    write: (key: Key, value: unknown) => void,
    remove: (key: Key) => void,
  ) {
    super(...given);
    this.#write = write;
    this.#remove = remove;
  }

  set(key: Key, value: unknown): void {
    const map = this.used;
    const text = encodedText(key);
    const own = decodeKey(bytesOfText(text)).key;
    this.#write(own, value);
    map.change(text, { key: own, value: ownValue(value) as object });
  }

  delete(key: Key): void {
    const map = this.used;
    const text = encodedText(key);
    if (!map.has(key)) return;
    this.#remove(key);
    map.change(text, undefined);
  }

  clear(): void {
    for (const text of this.used.texts()) this.delete(decodeKey(bytesOfText(text)).key);
  }
}

export class BroadcastMaps {
  /** Handles that read, by name. */
  readonly readonlyHandles: Readonly<Record<string, ReadonlyBroadcastState<Key, object>>>;
  /** Handles that write, by name. */
  readonly handles: Readonly<Record<string, BroadcastState<Key, object>>>;
  readonly #rows: ReservedRows;
  readonly #maps = new Map<string, ReadHandle>();

  constructor(
    declarations: BroadcastStateDeclarations,
    { operatorId, subtaskIndex }: SubtaskPlace,
    gate: UseGate = alwaysUsable,
  ) {
    this.#rows = new ReservedRows(operatorId);
    const readonlyHandles: Record<string, ReadView> = {};
    const handles: Record<string, WriteView> = {};
    for (const name of Object.keys(declarations)) {
      const map = new ReadHandle();
      this.#maps.set(name, map);
      readonlyHandles[name] = new ReadView(map, gate, name);
      handles[name] = new WriteView(
        [map, gate, name],
        (key, value) => {
          if (subtaskIndex === 0) this.#rows.put(name, key, value);
        },
        (key) => {
          if (subtaskIndex === 0) this.#rows.delete(name, key);
        },
      );
    }
    this.readonlyHandles = readonlyHandles;
    this.handles = handles;
  }

  has(name: string): boolean {
    return this.#maps.has(name);
  }

  restore(row: RestoredRow): void {
    const entry =
      row.value === null ? undefined : { key: decodeKey(row.key).key, value: decodeValue(row.value) as object };
    this.#maps.get(row.stateName)?.change(textOfBytes(row.key), entry);
  }

  freeze(checkpointId: number): SnapshotTask | null {
    return this.#rows.freeze(checkpointId);
  }

  checkpointCompleted(checkpointId: number): void {
    this.#rows.checkpointCompleted(checkpointId);
  }
}
