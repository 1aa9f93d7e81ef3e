/**
 * How much of each article is in stock, from the change log of a database: a line for each row of the table of shelves that was
 * inserted, updated or deleted. The results come to the terminal: the table, how it came about, and what ran out.
 *
 *     npx millrace run examples/stock.ts
 */
import { type ChangeKind, count, defineJob, params, sum } from 'millrace';
import { files } from 'millrace/files';

/** A change of a row: what kind it is, and the row. An update is two lines, the row as it was and as it is. */
interface ShelfChange {
  op: ChangeKind;
  shelf: string;
  article: string;
  pieces: number;
}

export default defineJob('stock', (env) => {
  const { input } = env.params({
    input: params.string({
      default: 'examples/data/shelf-changes.jsonl',
      description: 'JSON lines with op, shelf, article and pieces',
    }),
  });

  const stock = env
    .from(files.jsonl<ShelfChange>(input), { uid: 'shelf-changes' })
    // From here on a record is a row, and its kind of change goes along: what is taken back is subtracted.
    .toChangelog((change) => change.op)
    .uid('shelves')
    .keyBy((row) => row.article)
    .aggregate({ shelves: count(), pieces: sum((row) => row.pieces) }, { updating: true })
    .uid('per-article')
    .map(({ key, shelves, pieces }) => ({ article: key, shelves, pieces }));

  stock.collect('stock', { key: (row) => row.article }).uid('stock');

  // From here on a change is a record of its own, which any operator takes.
  const history = stock.changes().uid('changes');
  history
    .map(({ kind, value }) => ({ kind, ...value }))
    .collect('history')
    .uid('history');
  history
    // An update of the only row of an article takes the article away and brings it back: an insert, not an update.
    .filter(({ kind, value }) => (kind === 'insert' || kind === 'updateAfter') && value.pieces === 0)
    .map(({ value }) => value.article)
    .print('ran out:')
    .uid('ran-out');
});
