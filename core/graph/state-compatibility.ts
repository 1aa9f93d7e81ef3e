/**
 * Whether the state that one graph of a job has made means the same to another graph of it, operator by operator: for
 * `millrace plan --from`, `run --upgrade` and `run --watch`. Pure.
 *
 * State is found by operator id. It may be restored where kind and everything in the config that decides the meaning of
 * rows are equal; a process function may declare more states than before. State of an operator that is gone is never
 * dropped silently, and a derived id (kind, name, ordinal) is trusted only where the operator is also fed as before,
 * because it may now mean another operator.
 *
 * The relation is transitive: what may be restored by B from A, and by C from B, may be restored by C from A.
 */
import { canonicalJson, type JsonObject, type JsonValue } from '../plain-data.ts';
import { type HashedOperator, hashedOperators } from './hashed-operators.ts';
import type { JobGraph } from './job-graph.ts';

/** What becomes of the state of one operator. */
export interface StateVerdict {
  readonly operatorId: string;
  /** Kind of the operator as it is now, or was when it is gone. */
  readonly kind: string;
  readonly verdict: 'restore' | 'start-empty' | 'refused';
  /** Why it is refused, and what to do; null for the others. */
  readonly reason: string | null;
}

/**
 * What would become of the state of a job made by `before` in a run of `after`: a verdict for every operator that has
 * state in either, in the order of `after`, those that are gone last.
 */
export function compareState(before: JobGraph, after: JobGraph): StateVerdict[] {
  const refusal = jobRefusal(before, after);
  const old = new Map(statefulOperators(before).map((operator) => [operator.id, operator]));
  const current = statefulOperators(after);
  const explicit = new Set(explicitIds(after));
  const verdicts = current.map((operator): StateVerdict => {
    const { id: operatorId, kind } = operator;
    const was = old.get(operatorId);
    if (was === undefined) return { operatorId, kind, verdict: 'start-empty', reason: null };
    const reason = refusal ?? operatorRefusal(was, operator, explicit.has(operatorId));
    return { operatorId, kind, verdict: reason === null ? 'restore' : 'refused', reason };
  });
  const ids = new Set(current.map(({ id }) => id));
  for (const { id, kind } of old.values()) {
    if (!ids.has(id)) verdicts.push({ operatorId: id, kind, verdict: 'refused', reason: refusal ?? goneReason(kind) });
  }
  return verdicts;
}

function jobRefusal(before: JobGraph, after: JobGraph): string | null {
  if (before.name !== after.name)
    return `its state belongs to the job '${before.name}', this one is '${after.name}'; give each job a state of its own`;
  const { maxParallelism } = before.options;
  if (maxParallelism === after.options.maxParallelism) return null;
  return `maxParallelism was ${maxParallelism} and is ${after.options.maxParallelism}, but is fixed for the life of the state; set it back`;
}

const goneReason = (kind: string): string =>
  `a ${kind} of this id is no longer in the job, and its state would be lost; bring it back under this uid, or start afresh`;

function operatorRefusal(before: HashedOperator, after: HashedOperator, idExplicit: boolean): string | null {
  if (before.kind !== after.kind)
    return `it was a ${before.kind} and is a ${after.kind}; give the new operator a uid of its own`;
  const difference = configDifference(before, after);
  if (difference !== null) return difference;
  if (idExplicit || before.inputs.join('\n') === after.inputs.join('\n')) return null;
  return 'its id is derived from the order of the definition and it is fed by others than before, so it may be another operator; give it a uid and start afresh, or undo the change';
}

function configDifference(before: HashedOperator, after: HashedOperator): string | null {
  const [old, current] = [stateConfig(before), stateConfig(after)];
  const names = [...new Set([...Object.keys(old), ...Object.keys(current)])].sort();
  for (const name of names) {
    const [was, is] = [old[name], current[name]];
    const problem = declaredStates.has(name)
      ? statesDifference(was, is)
      : meansTheSame(name, was, is)
        ? null
        : valueDifference(name, was, is);
    if (problem !== null) return problem;
  }
  return null;
}

/**
 * Parts of a config that say nothing about rows: what happens to failed and late records, and in what order calls are
 * answered (records in flight are kept as they came, and sent again).
 */
const withoutState: ReadonlySet<string> = new Set([
  'onError',
  'lateTag',
  'lateSecondTag',
  'onTimeout',
  'order:async-map',
]);

/** Parts of a config that declare states by name. */
const declaredStates: ReadonlySet<string> = new Set(['states', 'broadcastStates', 'windowStates']);

/** Rows tell apart only whether there is one: a time to live is counted from the last write, and an evictor keeps nothing. */
const rowsTellPresenceOnly: ReadonlySet<string> = new Set(['ttlMs', 'evictor']);

function meansTheSame(name: string, was: JsonValue | undefined, is: JsonValue | undefined): boolean {
  return rowsTellPresenceOnly.has(name) && (was ?? null) !== null && (is ?? null) !== null;
}

function stateConfig({ kind, config }: HashedOperator): JsonObject {
  if (kind === 'timestamps') return {};
  const says = (name: string): boolean => !withoutState.has(name) && !withoutState.has(`${name}:${kind}`);
  return Object.fromEntries(Object.entries(config).filter(([name]) => says(name)));
}

/** More states are allowed, they start empty; others than before are not. */
function statesDifference(before: JsonValue | undefined, after: JsonValue | undefined): string | null {
  const old = (before ?? {}) as JsonObject;
  const current = (after ?? {}) as JsonObject;
  for (const [name, was] of Object.entries(old)) {
    if (!Object.hasOwn(current, name))
      return `its state '${name}' is no longer declared and would be lost; declare it again, or start afresh`;
    const is = current[name];
    if (canonicalJson(was) !== canonicalJson(is as JsonValue))
      return `its state '${name}' was ${canonicalJson(was)} and is ${canonicalJson(is as JsonValue)}; give the new state another name and keep the old one`;
  }
  return null;
}

function valueDifference(name: string, was: JsonValue | undefined, is: JsonValue | undefined): string | null {
  const [old, current] = [textOf(was), textOf(is)];
  if (old === current) return null;
  return `its ${name} was ${old} and is ${current}, which changes what its state means; undo the change, or give the operator a new uid and start afresh`;
}

const textOf = (value: JsonValue | undefined): string => (value === undefined ? 'absent' : canonicalJson(value));

function statefulOperators(graph: JobGraph): HashedOperator[] {
  const byId = new Map(hashedOperators(graph).map((operator) => [operator.id, operator]));
  return graph.vertices
    .flatMap((vertex) => vertex.operators)
    .filter((operator) => operator.stateful)
    .map((operator) => byId.get(operator.id) as HashedOperator);
}

function explicitIds(graph: JobGraph): string[] {
  return graph.vertices.flatMap(({ operators }) =>
    operators.filter((operator) => operator.idExplicit).map((operator) => operator.id),
  );
}
