/**
 * What changed between two graphs, in words a person can act on. Compares exactly what `graphHash` covers: no line when
 * the hashes are equal, at least one when they differ.
 */
import { canonicalJson, type JsonObject, type JsonValue } from '../plain-data.ts';
import { type HashedOperator, hashedOperators } from './hashed-operators.ts';
import type { JobGraph } from './job-graph.ts';

/**
 * Lines that say how the job `after` differs from `before`; empty when their hashes are equal.
 * @see graphHash for what is compared
 */
export function describeGraphDifference(before: JobGraph, after: JobGraph): string[] {
  const lines: string[] = [];
  if (before.name !== after.name) lines.push(`the job was named '${before.name}', now '${after.name}'`);
  const { maxParallelism } = before.options;
  if (maxParallelism !== after.options.maxParallelism) {
    lines.push(
      `maxParallelism was ${maxParallelism}, now ${after.options.maxParallelism}; it is fixed for the life of the state`,
    );
  }
  const old = new Map(hashedOperators(before).map((operator) => [operator.id, operator]));
  const current = new Map(hashedOperators(after).map((operator) => [operator.id, operator]));
  for (const [id, operator] of old)
    if (!current.has(id))
      lines.push(`operator ${nameOf(operator)} was removed${operator.stateful ? ' and has state' : ''}`);
  for (const [id, operator] of current) if (!old.has(id)) lines.push(`operator ${nameOf(operator)} was added`);
  for (const [id, operator] of old) {
    const now = current.get(id);
    if (now !== undefined) lines.push(...operatorDifference(operator, now));
  }
  return lines;
}

/** Lines that say which parameters have other values; they do not count for the hash unless they reach a config. */
export function describeParameterDifference(before: JobGraph, after: JobGraph): string[] {
  return valueDifference(before.parameters, after.parameters, '').map((line) => `parameter ${line}`);
}

const nameOf = ({ id, kind }: HashedOperator): string => `'${id}' (${kind})`;

function operatorDifference(before: HashedOperator, after: HashedOperator): string[] {
  const where = `operator '${before.id}'`;
  if (before.kind !== after.kind)
    return [`${where} was a ${before.kind}, now a ${after.kind}; give the new one another uid`];
  const lines = valueDifference(before.config, after.config, '').map((line) => `${where}: ${line}`);
  if (before.stateful !== after.stateful)
    lines.push(`${where}: ${before.stateful ? 'had state, now has none' : 'had no state, now has some'}`);
  if (before.inputs.join('\n') !== after.inputs.join('\n')) {
    lines.push(`${where}: was fed by ${inputsInWords(before)}, now by ${inputsInWords(after)}`);
  }
  return lines;
}

const inputsInWords = ({ inputs }: HashedOperator): string => (inputs.length === 0 ? 'nothing' : inputs.join(', '));

/** `path was x, now y` for each leaf that differs. */
function valueDifference(before: JsonValue | undefined, after: JsonValue | undefined, path: string): string[] {
  if (isObject(before) && isObject(after)) {
    const names = [...new Set([...Object.keys(before), ...Object.keys(after)])].sort();
    return names.flatMap((name) =>
      valueDifference(ownValue(before, name), ownValue(after, name), path === '' ? name : `${path}.${name}`),
    );
  }
  const [old, current] = [textOf(before), textOf(after)];
  return old === current ? [] : [`${path} was ${old}, now ${current}`];
}

const isObject = (value: JsonValue | undefined): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const ownValue = (object: JsonObject, name: string): JsonValue | undefined =>
  Object.hasOwn(object, name) ? object[name] : undefined;
const textOf = (value: JsonValue | undefined): string => (value === undefined ? 'absent' : canonicalJson(value));
