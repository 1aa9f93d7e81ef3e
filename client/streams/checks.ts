/** Checks of what authors pass in. Each throws `JOB_INVALID` naming the operator and the remedy. */
import { EngineError } from '../../core/errors.ts';

const idPattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/;
// Control characters would break progress lines and log files.
const controlCharacter = /[\u0000-\u001f\u007f]/;

export function checkId(value: string, what: string): string {
  if (typeof value === 'string' && idPattern.test(value)) return value;
  throw new EngineError(
    'JOB_INVALID',
    `${what} ${JSON.stringify(value)} is not an id; use 1 to 100 letters, digits, '.', '_' or '-', starting with a letter or digit`,
  );
}

export function checkName(value: string, what: string): string {
  if (typeof value === 'string' && value.trim() !== '' && value.length <= 100 && !controlCharacter.test(value))
    return value;
  throw new EngineError(
    'JOB_INVALID',
    `${what} ${JSON.stringify(value)} is not a name; use 1 to 100 printable characters`,
  );
}

export function checkCount(value: number, what: string): number {
  if (Number.isSafeInteger(value) && value >= 1) return value;
  throw new EngineError('JOB_INVALID', `${what} is ${String(value)}; use a whole number of 1 or more`);
}

/** @param atLeast smallest allowed value in ms */
export function checkDuration(value: number, atLeast: number, what: string): number {
  if (Number.isSafeInteger(value) && value >= atLeast) return value;
  throw new EngineError(
    'JOB_INVALID',
    `${what} is ${String(value)}; use a whole number of milliseconds of ${atLeast} or more, for example seconds(10)`,
  );
}

/** A function, or an object whose `call` is one. */
export function checkUserFunction<F>(value: F, what: string): F {
  const call: unknown = typeof value === 'object' && value !== null ? (value as { call?: unknown }).call : value;
  if (typeof call === 'function') return value;
  throw new EngineError(
    'JOB_INVALID',
    `${what} needs a function or an object with a method 'call', got ${value === null ? 'null' : typeof value}`,
  );
}

export function checkFunction<F>(value: F, what: string): F {
  if (typeof value === 'function') return value;
  throw new EngineError('JOB_INVALID', `${what} needs a function, got ${value === null ? 'null' : typeof value}`);
}

/** One of a few words. */
export function checkChoice<T extends string>(value: T, choices: readonly T[], what: string): T {
  if (choices.includes(value)) return value;
  const known = choices.map((choice) => `'${choice}'`).join(' or ');
  throw new EngineError('JOB_INVALID', `${what} is ${JSON.stringify(value)}; use ${known}`);
}
