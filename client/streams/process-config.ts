/** The part of a process operator's config that says what state it declares. */
import { EngineError } from '../../core/errors.ts';
import type { KeyedProcessFunction } from '../../core/operators.ts';
import type { JsonObject } from '../../core/plain-data.ts';
import type { StateDeclarations } from '../../core/state/declarations.ts';
import { checkFunction, checkId } from './checks.ts';

/** Under these names the runtime keeps the operator's timers. */
const reservedStates: readonly string[] = ['timers-event', 'timers-processing'];

/**
 * `{ states: { name: 'value' | 'map' } }`.
 * @throws EngineError JOB_INVALID when `onRecord` is missing or a state is not declared with `valueState` or `mapState`
 */
export function processConfig(process: KeyedProcessFunction<never, never, unknown, StateDeclarations>): JsonObject {
  if (typeof process !== 'object' || process === null) {
    throw new EngineError('JOB_INVALID', 'process(...) needs an object with onRecord(value, context)');
  }
  checkFunction(process.onRecord, 'process: onRecord');
  const states = Object.entries(process.state ?? {}).map(([name, declaration]) => {
    checkId(name, 'process: state name');
    if (reservedStates.includes(name))
      throw new EngineError(
        'JOB_INVALID',
        `process: state '${name}' has the name of the engine's own timers; choose another`,
      );
    const kind: unknown = declaration?.kind;
    if (kind !== 'value' && kind !== 'map') {
      throw new EngineError(
        'JOB_INVALID',
        `process: state '${name}' is not declared; use valueState<T>() or mapState<K, V>()`,
      );
    }
    return [name, kind] as const;
  });
  return { states: Object.fromEntries(states) };
}
