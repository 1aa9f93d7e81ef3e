/**
 * An aggregate over some of the records: the `FILTER (WHERE ...)` of SQL. Numbers stay in columns. Several aggregates with one
 * and the same predicate function ask it once a record.
 */
import type { Aggregate, NumericAggregate, ObjectAggregate } from '../../core/aggregate.ts';
import { EngineError } from '../../core/errors.ts';
import { userFunctionsOf } from '../../core/graph/functions-fingerprint.ts';

/**
 * The aggregate of the records for which the predicate holds. Where it holds for none, `count` and `sum` are 0, `avg` is NaN,
 * `min` Infinity and `max` -Infinity.
 * @throws EngineError JOB_INVALID when one of the two is not what it should be
 */
export function filtered<In, Out>(
  aggregate: Aggregate<NoInfer<In>, Out>,
  predicate: (value: In) => boolean,
): Aggregate<In, Out> {
  if (typeof predicate !== 'function') {
    throw new EngineError(
      'JOB_INVALID',
      `filtered(aggregate, predicate) needs a function that says which records count, got ${typeof predicate}`,
    );
  }
  if (typeof aggregate !== 'object' || aggregate === null || !('kind' in aggregate) || !('options' in aggregate)) {
    throw new EngineError(
      'JOB_INVALID',
      'filtered(aggregate, predicate) needs an aggregate first, for example count()',
    );
  }
  const inner = aggregate as unknown as NumericAggregate<In> | ObjectAggregate<In, unknown, Out>;
  const options = { ...inner.options, filtered: true };
  const made = inner.kind === 'object' ? filteredObject(inner, predicate) : filteredNumeric(inner, predicate);
  return Object.freeze({ ...made, options }) as unknown as Aggregate<In, Out>;
}

function filteredNumeric<In>(inner: NumericAggregate<In>, predicate: (value: In) => boolean): NumericAggregate<In> {
  const { filter } = inner;
  const both = filter === undefined ? predicate : (value: Readonly<In>) => filter(value) && predicate(value as In);
  return { ...inner, filter: both as (value: Readonly<In>) => boolean };
}

function filteredObject<In, Out>(
  inner: ObjectAggregate<In, unknown, Out>,
  predicate: (value: In) => boolean,
): ObjectAggregate<In, unknown, Out> {
  const { retract } = inner;
  const made: ObjectAggregate<In, unknown, Out> = {
    ...inner,
    add: (accumulator, value) => (predicate(value as In) ? inner.add(accumulator, value) : accumulator),
    ...(retract === undefined
      ? {}
      : {
          retract: (accumulator: unknown, value: Readonly<In>) =>
            predicate(value as In) ? retract.call(inner, accumulator, value) : accumulator,
        }),
  };
  // For the fingerprint of functions: the predicate beside what the user gave for the aggregate itself.
  return Object.assign(made, { [userFunctionsOf]: { predicate, inner } });
}
