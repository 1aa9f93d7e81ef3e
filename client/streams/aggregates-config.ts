/** The part of an operator's config that says what its aggregates mean. */
import type { AggregateSet } from '../../core/aggregate.ts';
import { EngineError } from '../../core/errors.ts';
import type { JsonObject } from '../../core/plain-data.ts';

/**
 * `{ name: { kind, ...options } }` of a set.
 * @param reserved fields the result record has already
 * @throws EngineError JOB_INVALID for an empty set, a reserved name, or something that is not an aggregate
 */
export function aggregatesConfig(aggregates: AggregateSet<never>, reserved: readonly string[]): JsonObject {
  const names = Object.keys(aggregates);
  if (names.length === 0)
    throw new EngineError(
      'JOB_INVALID',
      'aggregate({}) computes nothing; name at least one aggregate, for example { total: count() }',
    );
  const entries = names.map((name) => {
    if (reserved.includes(name) || name === '__proto__') {
      throw new EngineError(
        'JOB_INVALID',
        `aggregate name '${name}' is a field of the result record already; choose another name`,
      );
    }
    const aggregate: unknown = aggregates[name];
    if (typeof aggregate !== 'object' || aggregate === null || !('kind' in aggregate) || !('options' in aggregate)) {
      throw new EngineError(
        'JOB_INVALID',
        `aggregate '${name}' is not an aggregate; use count(), sum(...) or another of millrace, or aggregateOf({...})`,
      );
    }
    const { kind, options } = aggregate as { kind: string; options: JsonObject };
    return [name, { kind, ...options }] as const;
  });
  return Object.fromEntries(entries);
}
