/** Arguments of the operators on changes, checked, as the functions and config of their nodes. */
import type { AggregateSet } from '../../core/aggregate.ts';
import type { ChangeKind } from '../../core/changelog.ts';
import { EngineError } from '../../core/errors.ts';
import type { IntervalJoinContext, KeySelector } from '../../core/operators.ts';
import { aggregatesConfig } from './aggregates-config.ts';
import type {
  DedupOptions,
  IntervalJoinOptions,
  JoinOptions,
  ToChangelogOptions,
  UpdatingAggregateOptions,
  UpdatingTopNOptions,
} from './changelog-types.ts';
import type { NodeParts } from './build-site.ts';
import { checkChoice, checkCount, checkDuration, checkFunction } from './checks.ts';

function invalid(message: string): EngineError {
  return new EngineError('JOB_INVALID', message);
}

function checkOptions(options: unknown, what: string, example: string): void {
  if (typeof options !== 'object' || options === null) throw invalid(`${what} needs options, for example ${example}`);
}

function ttlOf(ttl: number | undefined, what: string): number | null {
  return ttl === undefined ? null : checkDuration(ttl, 1, `${what}: ttl`);
}

/** `toChangelog`. */
export function toChangelogParts<T>(
  kindOf: (value: Readonly<T>) => ChangeKind,
  { mode = 'retract' }: ToChangelogOptions = {},
): NodeParts {
  checkFunction(kindOf, 'toChangelog');
  checkChoice(mode, ['retract', 'upsert'], 'toChangelog: mode');
  return { functions: { kind: 'to-changelog', kindOf }, config: { mode } };
}

/** `fromUpserts`. */
export function upsertsParts<T>(
  keyOf: KeySelector<T>,
  isDelete: ((value: Readonly<T>) => boolean) | undefined,
  inputIsChangelog: boolean,
): NodeParts {
  checkFunction(keyOf, 'fromUpserts');
  if (isDelete !== undefined) checkFunction(isDelete, 'fromUpserts: isDelete');
  if (isDelete !== undefined && inputIsChangelog)
    throw invalid('fromUpserts: the kinds of this stream say which rows are deleted; leave isDelete away');
  const functions = { kind: 'upserts', keyOf, isDelete: isDelete ?? null } as const;
  return { functions, config: { deletes: isDelete === undefined ? 'kind' : 'function' } };
}

/** `aggregate(set, { updating: true })`. */
export function updatingAggregateParts<T>(
  keyOf: KeySelector<T>,
  aggregates: AggregateSet<Readonly<T>>,
  { updating, emitBefore = true }: UpdatingAggregateOptions,
): NodeParts {
  if (updating !== true || typeof emitBefore !== 'boolean') {
    throw invalid(
      'aggregate(set, options) takes { updating: true } and emitBefore: true or false; without options it emits a record each time',
    );
  }
  const config = { aggregates: aggregatesConfig(aggregates as AggregateSet<never>, ['key']), emitBefore };
  return { functions: { kind: 'updating-aggregate', keyOf, aggregates: aggregates as AggregateSet<never> }, config };
}

/** `topN`. */
export function topNParts<T>(
  keyOf: KeySelector<T>,
  n: number,
  options: UpdatingTopNOptions<T> & { readonly rank?: boolean },
): NodeParts {
  checkCount(n, 'topN: n');
  checkOptions(options, 'topN', '{ by: (bid) => bid.price }');
  const { by, order = 'desc', ties = null, uniqueBy = null, rank = true, emitBefore = true } = options;
  checkFunction(by, 'topN: by');
  checkChoice(order, ['desc', 'asc'], 'topN: order');
  if (ties !== null) checkFunction(ties, 'topN: ties');
  if (uniqueBy !== null) checkFunction(uniqueBy, 'topN: uniqueBy');
  if (typeof rank !== 'boolean') throw invalid(`topN: rank is ${JSON.stringify(rank)}; use true or false`);
  if (typeof emitBefore !== 'boolean' || (!emitBefore && !rank)) {
    throw invalid(
      'topN: emitBefore is true or false, and false only with ranks: without them rows are inserted and deleted, none is updated',
    );
  }
  const config = { n, order, rank, ties: ties !== null, unique: uniqueBy !== null, emitBefore };
  return { functions: { kind: 'top-n', keyOf, by, ties, uniqueBy }, config };
}

/** `dedup`. */
export function dedupParts<T>(keyOf: KeySelector<T>, options: DedupOptions): NodeParts {
  checkOptions(options, 'dedup', "{ keep: 'first' }");
  const { keep, by = 'time', emitBefore = true, ttl } = options;
  checkChoice(keep, ['first', 'last'], 'dedup: keep');
  checkChoice(by, ['time', 'arrival'], 'dedup: by');
  if (typeof emitBefore !== 'boolean' || (!emitBefore && keep === 'first')) {
    throw invalid(
      "dedup: emitBefore is true or false, and false only with keep: 'last': of the first record no other is replaced",
    );
  }
  const config = { keep, by, ttlMs: ttlOf(ttl, 'dedup') };
  return { functions: { kind: 'dedup', keyOf }, config: emitBefore ? config : { ...config, emitBefore } };
}

/** `join`. */
export function joinParts(
  keyOf: KeySelector<never>,
  keyOfSecond: KeySelector<never>,
  options: JoinOptions,
  join: (first: never, second: never) => unknown,
): NodeParts {
  checkOptions(options, 'join', "{ type: 'inner' }");
  checkFunction(join, 'join');
  const { type, ttl } = options;
  checkChoice(type, ['inner', 'left', 'right', 'full'], 'join: type');
  return { functions: { kind: 'join', keyOf, keyOfSecond, join }, config: { type, ttlMs: ttlOf(ttl, 'join') } };
}

/** `intervalJoin`; exclusive bounds become inclusive ones a millisecond further in. */
export function intervalJoinParts(
  keyOf: KeySelector<never>,
  keyOfSecond: KeySelector<never>,
  options: IntervalJoinOptions,
  join: (first: never, second: never, context: IntervalJoinContext) => unknown,
): NodeParts {
  checkOptions(options, 'intervalJoin', '{ lower: minutes(-5), upper: minutes(5) }');
  checkFunction(join, 'intervalJoin');
  const { lower, upper, lowerExclusive = false, upperExclusive = false } = options;
  const lowerMs = checkDuration(lower, Number.MIN_SAFE_INTEGER, 'intervalJoin: lower') + (lowerExclusive ? 1 : 0);
  const upperMs = checkDuration(upper, Number.MIN_SAFE_INTEGER, 'intervalJoin: upper') - (upperExclusive ? 1 : 0);
  if (lowerMs > upperMs) {
    throw invalid(
      `intervalJoin: no difference of times is between lower ${lower}${lowerExclusive ? ' (exclusive)' : ''} and upper ${upper}${upperExclusive ? ' (exclusive)' : ''}; make lower the smaller one`,
    );
  }
  return { functions: { kind: 'interval-join', keyOf, keyOfSecond, join }, config: { lowerMs, upperMs } };
}
