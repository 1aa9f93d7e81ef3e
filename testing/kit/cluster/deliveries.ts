/** What `collect()` sinks of a cluster hand over: values in the order they came, and tables as the current row of each key. */
import { type TableChange, tableDeliveryPrefix } from '../../../client/sinks/collect-table.ts';

export class Deliveries {
  readonly #seen = new Set<string>();
  readonly #values = new Map<string, unknown[]>();
  readonly #tables = new Map<string, Map<string, unknown>>();

  /** A committed chunk; the same one again, after a recovery or in a resumed run, changes nothing. */
  add(channel: string, id: string, values: readonly unknown[]): void {
    const identity = `${channel}\u0000${id}`;
    if (this.#seen.has(identity)) return;
    this.#seen.add(identity);
    if (id.startsWith(tableDeliveryPrefix)) {
      const table = this.#tables.get(channel) ?? new Map<string, unknown>();
      this.#tables.set(channel, table);
      for (const value of values) applyChange(table, value as TableChange);
      return;
    }
    const collected = this.#values.get(channel) ?? [];
    this.#values.set(channel, collected);
    for (const value of values) collected.push(value);
  }

  get collected(): Readonly<Record<string, readonly unknown[]>> {
    const tables = [...this.#tables].map(([name, table]) => [name, [...table.values()]] as const);
    const values = [...this.#values].map(([name, collected]) => [name, [...collected]] as const);
    return Object.fromEntries([...values, ...tables]);
  }
}

function applyChange(table: Map<string, unknown>, { op, key, row }: TableChange): void {
  if (op === '-D') table.delete(key);
  else table.set(key, row);
}
