/**
 * Reads what a user typed into values, or says what was expected. Pure.
 */
import { EngineError } from '../../core/errors.ts';
import { maxParallelismLimit } from '../../core/key-groups.ts';

const portMax = 65_535;
const durationUnits = { ms: 1, s: 1_000, m: 60_000, min: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** Milliseconds of `500ms`, `1s`, `1.5m`, `2h`, `1d`. */
export function parseDuration(option: string, text: string): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|min|h|d)$/.exec(text);
  const ms = match === null ? Number.NaN : Number(match[1]) * durationUnits[match[2] as keyof typeof durationUnits];
  if (!(ms >= 1) || ms > Number.MAX_SAFE_INTEGER) {
    throw usage(`${option} is a time such as 500ms, 1s or 2m, not "${text}"`, option);
  }
  return Math.round(ms);
}

/** A whole number within bounds, both inclusive. */
export function parseInteger(option: string, text: string, bounds: { min: number; max: number }): number {
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (value >= bounds.min && value <= bounds.max) return value;
  throw usage(`${option} is a whole number from ${bounds.min} to ${bounds.max}, not "${text}"`, option);
}

/** Ports from first to last, both inclusive: `7000-7003`, or one port. */
export function parsePortRange(option: string, text: string): { readonly first: number; readonly last: number } {
  const match = /^(\d+)(?:-(\d+))?$/.exec(text);
  const first = Number(match?.[1] ?? Number.NaN);
  const last = Number(match?.[2] ?? first);
  if (first >= 1 && last <= portMax && first <= last) return { first, last };
  throw usage(`${option} is a range of ports such as 7000-7003, within 1 to ${portMax}, not "${text}"`, option);
}

export const parseParallelism = (text: string): number =>
  parseInteger('--parallelism', text, { min: 1, max: maxParallelismLimit });

/** One of a closed list of words. */
export function parseChoice<T extends string>(option: string, text: string, choices: readonly T[]): T {
  const found = choices.find((choice) => choice === text);
  if (found === undefined) throw usage(`${option} is one of ${choices.join(', ')}, not "${text}"`, option);
  return found;
}

/**
 * The parameters of the job: what follows `--` on the command line, as `--name value`, `--name=value`, or `--name` alone
 * for true.
 */
export function parseJobArguments(words: readonly string[]): Readonly<Record<string, string>> {
  const values = new Map<string, string>();
  for (let index = 0; index < words.length; index++) {
    const word = words[index] as string;
    const match = /^--([A-Za-z][\w-]*)(?:=([\s\S]*))?$/.exec(word);
    if (match === null) {
      throw usage(`"${word}" is not a parameter of the job → write parameters as --name value, after --`, word);
    }
    const name = match[1] as string;
    if (values.has(name)) throw usage(`the parameter --${name} is given twice`, `--${name}`);
    const next = words[index + 1];
    if (match[2] !== undefined) values.set(name, match[2]);
    else if (next === undefined || /^--[A-Za-z]/.test(next)) values.set(name, 'true');
    else values.set(name, words[++index] as string);
  }
  return Object.fromEntries(values);
}

function usage(message: string, option: string): EngineError {
  return new EngineError('USAGE', message, { ids: { option } });
}
