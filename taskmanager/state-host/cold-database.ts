/**
 * The deliberately cold database: a `Map` in the state host thread. It makes every state access of a slot take the way that a
 * database on disk will take, without being one, so that this way is tested from the first day. Nothing survives the thread.
 */

/** Rows of one slot. Keys are text of one character a byte, which orders as the bytes do. */
export class ColdDatabase {
  readonly #tables = new Map<string, Map<string, Uint8Array>>();

  get(operatorId: string, stateName: string, keyGroup: number, key: Uint8Array): Uint8Array | undefined {
    return this.#tables.get(tableKey(operatorId, stateName, keyGroup))?.get(textOf(key));
  }

  put(operatorId: string, stateName: string, keyGroup: number, key: Uint8Array, value: Uint8Array): void {
    const name = tableKey(operatorId, stateName, keyGroup);
    let table = this.#tables.get(name);
    if (table === undefined) {
      table = new Map();
      this.#tables.set(name, table);
    }
    // A copy: the message holds all rows of a write.
    table.set(textOf(key), value.slice());
  }

  delete(operatorId: string, stateName: string, keyGroup: number, key: Uint8Array): void {
    const name = tableKey(operatorId, stateName, keyGroup);
    const table = this.#tables.get(name);
    table?.delete(textOf(key));
    if (table?.size === 0) this.#tables.delete(name);
  }

  /** Keys and values in turn, in key order, of the rows whose key starts with `prefix`. */
  scan(operatorId: string, stateName: string, keyGroup: number, prefix: Uint8Array): Uint8Array[] {
    const start = textOf(prefix);
    const table = this.#tables.get(tableKey(operatorId, stateName, keyGroup)) ?? new Map<string, Uint8Array>();
    const found: string[] = [];
    for (const key of table.keys()) if (key.startsWith(start)) found.push(key);
    found.sort();
    return found.flatMap((key) => [Buffer.from(key, 'latin1'), table.get(key) as Uint8Array]);
  }
}

const tableKey = (operatorId: string, stateName: string, keyGroup: number): string =>
  `${keyGroup}\0${operatorId}\0${stateName}`;

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
}
