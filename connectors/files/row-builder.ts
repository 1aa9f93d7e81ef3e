/**
 * Builds row objects from columns. The loop is generated once per list of names, so that every row has the same hidden class and
 * no row costs a loop over names. Names reach the generated code only as arguments: text from a file never becomes code, and a
 * column called `__proto__` is an ordinary property, because computed keys define.
 *
 * Three things about V8 decide whether this takes 20 or 530 ns a row (both measured with five columns):
 * - The hidden class must hold any value from the start. When a column turns from small integers to fractions V8 replaces the class,
 *   and code that has seen two classes stays slow for good. So a twin of the loop makes a row of nulls first.
 * - Names must be strings V8 uses as property names already.
 * - Functions made from equal text share what V8 learned of them, across different names too. So every text gets a number.
 */

/** Rows `from .. to - 1` of the columns as objects. */
export type BuildRows = (columns: readonly ArrayLike<unknown>[], from: number, to: number) => Record<string, unknown>[];

interface Builder {
  readonly build: BuildRows;
  /** Keeps the hidden class alive while no other row exists. */
  readonly nullRow: unknown;
}

/** Above this, rows are dictionaries for V8 anyway. */
const columnsMax = 1000;
const buildersMax = 64;
const builders = new Map<string, Builder>();
let generatedCount = 0;

/** The builder for rows with the given column names, in that order. */
export function rowsBuilder(names: readonly string[]): BuildRows {
  if (names.length > columnsMax) return slowRowsBuilder(names);
  const key = JSON.stringify(names);
  const known = builders.get(key);
  if (known !== undefined) return known.build;
  const nulls = new Array<readonly unknown[]>(names.length).fill([null]);
  const [nullRow] = generate(names)(nulls, 0, 1);
  const build = generate(names);
  if (builders.size >= buildersMax) builders.clear();
  builders.set(key, { build, nullRow });
  return build;
}

function generate(names: readonly string[]): BuildRows {
  const all = names.map((_, index) => index);
  generatedCount++;
  const body = `return function buildRows(columns, from, to) { // ${generatedCount}
    ${all.map((index) => `const c${index} = columns[${index}];`).join(' ')}
    const rows = new Array(to - from);
    for (let row = from; row < to; row++) rows[row - from] = { ${all.map((index) => `[n${index}]: c${index}[row]`).join(', ')} };
    return rows;
  };`;
  return (new Function(...all.map((index) => `n${index}`), body) as (...names: string[]) => BuildRows)(
    ...names.map(internalized),
  );
}

/** The same text as V8 keeps it for property names; text cut from a file would be looked up anew for every row. */
function internalized(name: string): string {
  return Object.keys({ [name]: null })[0] as string;
}

function slowRowsBuilder(names: readonly string[]): BuildRows {
  return (columns, from, to) => {
    const rows: Record<string, unknown>[] = [];
    for (let row = from; row < to; row++)
      rows.push(Object.fromEntries(names.map((name, index) => [name, columns[index]?.[row]])));
    return rows;
  };
}
