/**
 * State of one subtask as rows, with what a checkpoint needs: rows changed since the last one, frozen at a barrier.
 *
 * A freeze contains every row of earlier freezes whose fate is unknown: the notification that a checkpoint was aborted may be
 * lost, and the next checkpoint must not rely on it.
 */
import { type RowBlock, RowBlockWriter } from '../../runtime/checkpoint/row-block.ts';
import type { RowValue } from './state-rows.ts';

interface Row {
  readonly keyGroup: number;
  value: RowValue | null;
}

export class SimulatedState {
  readonly #vertexId: string;
  readonly #rows = new Map<string, Row>();
  readonly #dirty = new Set<string>();
  readonly #frozen = new Map<number, Set<string>>();

  constructor(vertexId: string) {
    this.#vertexId = vertexId;
  }

  get(key: string): RowValue | null {
    return this.#rows.get(key)?.value ?? null;
  }

  /** Keys of rows that exist. */
  get keys(): string[] {
    return [...this.#rows].filter(([, row]) => row.value !== null).map(([key]) => key);
  }

  put(keyGroup: number, key: string, value: RowValue | null): void {
    this.#rows.set(key, { keyGroup, value });
    this.#dirty.add(key);
  }

  restore(keyGroup: number, key: string, value: RowValue | null): void {
    if (value === null) this.#rows.delete(key);
    else this.#rows.set(key, { keyGroup, value });
  }

  freeze(checkpointId: number): RowBlock[] {
    const changed = new Set(this.#dirty);
    for (const keys of this.#frozen.values()) for (const key of keys) changed.add(key);
    this.#dirty.clear();
    this.#frozen.set(checkpointId, changed);
    const blocks: RowBlock[] = [];
    const writer = new RowBlockWriter((block) => blocks.push(block), 4096);
    writer.startTable(this.#vertexId, 'rows');
    for (const key of changed) {
      const row = this.#rows.get(key);
      const value = row?.value ?? null;
      const bytes = value === null ? null : encoder.encode(JSON.stringify(value));
      writer.writeRow(row?.keyGroup ?? 0, encoder.encode(key), bytes);
    }
    writer.flush();
    return blocks;
  }

  completed(checkpointId: number): void {
    for (const id of this.#frozen.keys()) if (id <= checkpointId) this.#frozen.delete(id);
  }

  aborted(checkpointId: number): void {
    for (const key of this.#frozen.get(checkpointId) ?? []) this.#dirty.add(key);
    this.#frozen.delete(checkpointId);
  }
}

const encoder = new TextEncoder();
