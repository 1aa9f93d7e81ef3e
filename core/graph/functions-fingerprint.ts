/**
 * Hashes of the source text of user functions, by operator. Resuming with changed bodies is allowed (that is what fixing
 * a bug is); the fingerprint lets `run` say which operators changed. A hint, not a guarantee: values a function closes over
 * leave no trace in its text, and a bundler may rename what it likes.
 */
import { createHash } from 'node:crypto';
import type { OperatorFunctions } from '../operators.ts';

/** Operator id → 16 hexadecimal digits. Plain data, sorted by id; operators without user functions are absent. */
export type FunctionsFingerprint = Readonly<Record<string, string>>;

/**
 * Where an object made by the engine (an aggregate) keeps the functions the user gave it. Only these are hashed then, so
 * a new release of the engine does not look like a change of the job.
 */
export const userFunctionsOf: unique symbol = Symbol.for('millrace.userFunctions') as never;

/** Own properties this deep are looked at; deeper ones are data of the user, not functions the engine calls. */
const depthMax = 4;

/** The fingerprint of the functions of a planned job; see {@link FunctionsFingerprint}. */
export function functionsFingerprint(functions: ReadonlyMap<string, OperatorFunctions>): FunctionsFingerprint {
  const result: Record<string, string> = {};
  for (const id of [...functions.keys()].sort()) {
    const texts: string[] = [];
    collect(functions.get(id), '', 0, texts);
    if (texts.length > 0) result[id] = createHash('sha256').update(texts.join('\0')).digest('hex').slice(0, 16);
  }
  return result;
}

/** Lines that say which operators have other functions; operators found in only one of the two are left out. */
export function describeFunctionDifference(before: FunctionsFingerprint, after: FunctionsFingerprint): string[] {
  return Object.keys(before)
    .filter((id) => after[id] !== undefined && after[id] !== before[id])
    .map((id) => `functions of operator '${id}' changed`);
}

function collect(value: unknown, path: string, depth: number, texts: string[]): void {
  if (typeof value === 'function') texts.push(`${path}=${String(value)}`);
  if (typeof value !== 'object' || value === null || depth > depthMax) return;
  if (userFunctionsOf in value) return collect(value[userFunctionsOf], path, depth + 1, texts);
  for (const name of propertyNames(value)) {
    // Connectors are code of their authors; what they are told is in their options and so in the graph hash.
    if (depth === 0 && (name === 'source' || name === 'sink')) continue;
    collect((value as Record<string, unknown>)[name], `${path}.${name}`, depth + 1, texts);
  }
}

/** Own names and those of a class the user wrote, sorted. */
function propertyNames(value: object): string[] {
  const names = new Set<string>();
  for (
    let current: object | null = value;
    current !== null && current !== Object.prototype && current !== Array.prototype;
    current = Object.getPrototypeOf(current) as object | null
  ) {
    for (const [name, property] of Object.entries(Object.getOwnPropertyDescriptors(current))) {
      if (name !== 'constructor' && property.get === undefined) names.add(name);
    }
  }
  return [...names].sort();
}
