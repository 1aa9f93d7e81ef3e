/**
 * What `collect()` sinks deliver: printed as it comes, or kept for the one JSON line of `--json`. Values are shown as JSON
 * where JSON can say them, else as Node's inspector writes them.
 */
import { inspect } from 'node:util';
import { type TableChange, tableDeliveryPrefix } from '../../client/sinks/collect-table.ts';

/** Values of one channel kept for `--json`; more would grow without bound on a job that never ends. */
export const keptPerChannelMax = 10_000;

interface Channel {
  readonly values: unknown[];
  dropped: number;
}

export class CollectedResults {
  readonly #print: ((line: string) => void) | null;
  readonly #channels = new Map<string, Channel>();
  readonly #seen = new Set<string>();
  /** Rows by key of the channels that are tables. */
  readonly #tables = new Map<string, Map<string, unknown>>();

  /** @param print takes a line for each value; null to keep values instead */
  constructor(print: ((line: string) => void) | null) {
    this.#print = print;
  }

  /** Takes a delivery. Ids repeat only when a commit was driven again, with the same values. */
  add(channel: string, id: string, values: readonly unknown[]): void {
    const key = `${channel}\u0000${id}`;
    if (this.#seen.has(key)) return;
    this.#seen.add(key);
    if (id.startsWith(tableDeliveryPrefix)) for (const value of values) this.#change(channel, value as TableChange);
    else for (const value of values) this.#addValue(channel, value);
  }

  #change(channel: string, { op, key, row }: TableChange): void {
    const table = this.#tables.get(channel) ?? new Map<string, unknown>();
    this.#tables.set(channel, table);
    if (op === '-D') table.delete(key);
    else table.set(key, row);
    if (this.#print !== null) this.#print(`${channel}: ${op} ${valueText(row)}`);
  }

  #addValue(channel: string, value: unknown): void {
    if (this.#print !== null) {
      this.#print(`${channel}: ${valueText(value)}`);
      return;
    }
    const kept = this.#channels.get(channel) ?? { values: [], dropped: 0 };
    this.#channels.set(channel, kept);
    if (kept.values.length < keptPerChannelMax) kept.values.push(jsonValue(value));
    else kept.dropped++;
  }

  /** Values by channel; where some were dropped, how many. */
  toJson(): Record<string, unknown> {
    const entries = [...this.#channels].map(([name, { values, dropped }]): [string, unknown] => [
      name,
      dropped === 0 ? values : { values, dropped },
    ]);
    for (const [name, table] of this.#tables) entries.push([name, [...table.values()].map(jsonValue)]);
    return Object.fromEntries(entries);
  }
}

/** One line for a value. */
export function valueText(value: unknown): string {
  const text = jsonText(value);
  return text ?? inspect(value, { depth: 6, breakLength: Number.POSITIVE_INFINITY, maxArrayLength: 100 });
}

function jsonValue(value: unknown): unknown {
  return jsonText(value) === null ? inspect(value, { depth: 6 }) : value;
}

/** JSON of a value, null where JSON would lose something of it. */
function jsonText(value: unknown): string | null {
  return isJson(value, 0) ? JSON.stringify(value) : null;
}

const depthMax = 64;

function isJson(value: unknown, depth: number): boolean {
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return true;
  if (typeof value === 'number') return Number.isFinite(value);
  if (typeof value !== 'object' || depth > depthMax) return false;
  if (Array.isArray(value)) return value.every((item) => isJson(item, depth + 1));
  if (Object.getPrototypeOf(value) !== Object.prototype) return false;
  return Object.values(value).every((item) => isJson(item, depth + 1));
}
