/**
 * `keyBy(..).topN(n, ..)`: the n best rows of each key, kept up to date. With `rank` every row that moves is told as an update
 * of its rank; without, only which row leaves and which enters.
 *
 * State: one row per key, state name `ranking`: the best n rows, or all of them where rows can be taken back or are replaced by
 * unique key. @see Flink Rank (AppendOnlyTopNFunction, RetractableTopNFunction)
 */
import { takesBack } from '../../core/changelog.ts';
import { ownValue } from '../../core/codec/own.ts';
import { EngineError } from '../../core/errors.ts';
import type { Key } from '../../core/operators.ts';
import { rowKind, type RowKind } from '../../core/stream/batch.ts';
import { LiveTable } from '../state/live-table.ts';
import { ChangeCursor, type ChangeSource } from './change-cursor.ts';
import { ChangeOutput } from './change-output.ts';
import { OneTableOperator } from './one-table-operator.ts';
import type { Operator, OperatorContext } from './operator.ts';
import { type RankedRow, type Ranking, RankingForm } from './ranking.ts';
import { countMetric } from './user-code.ts';

class TopNOperator extends OneTableOperator<'top-n'> {
  readonly #form: RankingForm;
  readonly #table: LiveTable<Ranking>;
  readonly #n: number;
  readonly #ascending: boolean;
  /** All rows are kept, not the best n. */
  readonly #keepsAll: boolean;
  readonly #changes: TopChanges;
  readonly #cursor: ChangeCursor;

  constructor(context: OperatorContext<'top-n'>) {
    super(context, context.functions.keyOf);
    const { config } = context.node;
    const { ties, uniqueBy } = context.functions;
    this.#n = config['n'] as number;
    this.#ascending = config['order'] === 'asc';
    this.#keepsAll = config['changelog'] === 'retract' || uniqueBy !== null;
    this.#form = new RankingForm({ ascending: this.#ascending, ties: ties as never, uniqueBy: uniqueBy as never });
    this.#table = this.keep(new LiveTable(this.owner, 'ranking', this.#form, { rests: true }));
    this.#changes = new TopChanges(new ChangeOutput(context), config['rank'] !== false, config['emitBefore'] !== false);
    this.#cursor = new ChangeCursor(context);
  }

  emit(value: unknown): void {
    this.#cursor.finish();
    this.#changes.clear();
    try {
      this.#handle(value);
    } catch (error) {
      return this.userFailed(value, error);
    }
    this.#cursor.start(this.#changes);
    this.shrinkCaches();
  }

  get pending(): boolean {
    return this.#cursor.pending;
  }

  resume(): void {
    this.#cursor.resume();
  }

  protected override beforeBatch(records: number): void {
    this.#table.rest(records);
  }

  #handle(value: unknown): void {
    const key = this.keyOf(value);
    const by: unknown = (this.context.functions.by as (value: unknown) => number)(value);
    if (typeof by !== 'number' || by !== by) throw notANumber(by);
    const ranked: RankedRow = { by, row: value };
    if (takesBack(this.context.scope.rowKind)) this.#remove(key, ranked);
    else this.#insert(key, ranked);
  }

  #insert(key: Key, ranked: RankedRow): void {
    const known = this.#table.peek(key);
    if (!this.#keepsAll && known !== undefined && this.#isHopeless(known.rows, ranked.by)) return;
    const text = this.context.functions.uniqueBy === null ? null : this.#form.uniqueText(ranked.row);
    const replaced = text === null ? undefined : known?.unique?.get(text);
    const at = known === undefined ? 0 : this.#form.place(known.rows, ranked);
    const replacedAt = replaced === undefined ? -1 : this.#form.find(known?.rows ?? [], replaced);
    if (!this.#keepsAll && at >= this.#n) return;
    const own: RankedRow = { by: ranked.by, row: ownValue(ranked.row) };
    // From here on nothing throws: the ranking changes as a whole.
    const { rows, unique } = this.#table.change(key);
    this.#changes.before(rows, this.#n);
    if (!this.#keepsAll) {
      insertBounded(rows, at, own, this.#n);
    } else {
      if (replacedAt >= 0) rows.splice(replacedAt, 1);
      rows.splice(replacedAt >= 0 && replacedAt < at ? at - 1 : at, 0, own);
      if (text !== null) unique?.set(text, own);
    }
    this.#changes.after(rows, this.#n);
  }

  #remove(key: Key, ranked: RankedRow): void {
    const known = this.#table.peek(key);
    const text = known?.unique == null ? null : this.#form.uniqueText(ranked.row);
    const at = known === undefined ? -1 : this.#form.find(known.rows, ranked);
    if (known === undefined || at < 0) return countMetric(this.context, 'retractionsWithoutRow', 1);
    const { rows, unique } = this.#table.change(key);
    this.#changes.before(rows, this.#n);
    rows.splice(at, 1);
    if (text !== null) unique?.delete(text);
    this.#changes.after(rows, this.#n);
    if (rows.length === 0) this.#table.delete(key);
  }

  /** True when the n kept rows are all better, by their numbers alone. */
  #isHopeless(rows: readonly RankedRow[], by: number): boolean {
    if (rows.length < this.#n) return false;
    const last = (rows[rows.length - 1] as RankedRow).by;
    return this.#ascending ? by > last : by < last;
  }
}

/** Inserts in place; of n rows the last falls out. Without `splice` and a shorter `length`, which make the array anew each time. */
function insertBounded(rows: RankedRow[], at: number, own: RankedRow, n: number): void {
  if (rows.length < n) rows.push(own);
  for (let index = rows.length - 1; index > at; index--) rows[index] = rows[index - 1] as RankedRow;
  rows[at] = own;
}

/** What one record changed among the best n rows, told one by one. Its arrays are used again: most records change a few places. */
class TopChanges implements ChangeSource {
  readonly #output: ChangeOutput;
  readonly #withRank: boolean;
  readonly #emitBefore: boolean;
  readonly #before: RankedRow[] = [];
  readonly #kinds: RowKind[] = [];
  readonly #rows: unknown[] = [];
  /** How many of `#kinds` and `#rows` count; a row told is let go. */
  #count = 0;
  #next = 0;

  constructor(output: ChangeOutput, withRank: boolean, emitBefore: boolean) {
    this.#output = output;
    this.#withRank = withRank;
    this.#emitBefore = emitBefore;
  }

  clear(): void {
    this.#count = 0;
    this.#next = 0;
  }

  step(): boolean {
    if (this.#next >= this.#count) return false;
    const index = this.#next++;
    const row = this.#rows[index];
    this.#rows[index] = undefined;
    this.#output.emit(this.#kinds[index] as RowKind, row);
    return this.#next < this.#count;
  }

  /** The rows as they are, before they change. */
  before(rows: readonly RankedRow[], n: number): void {
    const before = this.#before;
    const length = Math.min(rows.length, n);
    while (before.length > length) before.pop();
    for (let index = 0; index < length; index++) {
      if (index < before.length) before[index] = rows[index] as RankedRow;
      else before.push(rows[index] as RankedRow);
    }
  }

  /** The rows as they are now: works out what to tell. */
  after(rows: readonly RankedRow[], n: number): void {
    const before = this.#before;
    const length = Math.min(rows.length, n);
    let from = 0;
    while (from < before.length && from < length && before[from] === rows[from]) from++;
    if (this.#withRank) this.#tellRanks(before, rows, from, length);
    else this.#tellMembers(before, rows, from, length);
  }

  #tellRanks(before: readonly RankedRow[], after: readonly RankedRow[], from: number, length: number): void {
    for (let at = from; at < before.length || at < length; at++) {
      const left = before[at];
      const right = at < length ? after[at] : undefined;
      if (left === right) continue;
      if (left !== undefined && right === undefined) this.#add(rowKind.delete, { rank: at + 1, record: left.row });
      else if (left !== undefined && this.#emitBefore)
        this.#add(rowKind.updateBefore, { rank: at + 1, record: left.row });
      if (right !== undefined)
        this.#add(left === undefined ? rowKind.insert : rowKind.updateAfter, { rank: at + 1, record: right.row });
    }
  }

  /** Without what is equal at both ends, one row left, one came, or the rest moved by one place. */
  #tellMembers(before: readonly RankedRow[], after: readonly RankedRow[], from: number, length: number): void {
    let oldEnd = before.length;
    let newEnd = length;
    while (oldEnd > from && newEnd > from && before[oldEnd - 1] === after[newEnd - 1]) {
      oldEnd--;
      newEnd--;
    }
    const movedDown = oldEnd - from > 1 && after[from + 1] === before[from];
    const left = before[movedDown ? oldEnd - 1 : from];
    const entered = after[movedDown ? from : newEnd - 1];
    if (oldEnd > from) this.#add(rowKind.delete, (left as RankedRow).row);
    if (newEnd > from) this.#add(rowKind.insert, (entered as RankedRow).row);
  }

  #add(kind: RowKind, row: unknown): void {
    const index = this.#count++;
    if (index === this.#rows.length) {
      this.#kinds.push(kind);
      this.#rows.push(row);
    } else {
      this.#kinds[index] = kind;
      this.#rows[index] = row;
    }
  }
}

function notANumber(by: unknown): EngineError {
  const what = typeof by === 'number' ? 'NaN' : by === null ? 'null' : typeof by;
  return new EngineError(
    'USER_FUNCTION_FAILED',
    `topN: the function 'by' gave ${what}, which has no place in an order; give a number, or filter such records out before`,
  );
}

export function createTopNOperator(context: OperatorContext<'top-n'>): Operator {
  return new TopNOperator(context);
}
