/**
 * Finds the value of every declared parameter: arguments (`--name value`), then the environment
 * (`MILLRACE_PARAM_NAME`), then a parameter file, then the default. Pure: the texts come in as data. All problems are
 * reported at once, so that one run of the command line is enough to learn them.
 */
import { EngineError } from '../../core/errors.ts';
import type { PlanOptions } from '../../core/graph/job-definition.ts';
import type { JsonObject, JsonValue } from '../../core/plain-data.ts';
import { nearestName } from '../../core/nearest-name.ts';
import type { Parameter, ParameterSchema } from './parameter-types.ts';
import { parseDuration } from './parse-duration.ts';

export type ParameterSources = Pick<PlanOptions, 'arguments' | 'environment' | 'parameterFile' | 'resolvedParameters'>;

export interface ResolvedParameters {
  readonly values: JsonObject;
  readonly warnings: readonly string[];
}

const environmentPrefix = 'MILLRACE_PARAM_';
const namePattern = /^[A-Za-z][A-Za-z0-9_]{0,99}$/;

/** `windowSize` → `MILLRACE_PARAM_WINDOW_SIZE`. */
export function environmentName(name: string): string {
  return environmentPrefix + snakeCase(name).toUpperCase();
}

/** `windowSize` → `window-size`, as written after `--`. */
export function argumentName(name: string): string {
  return snakeCase(name).replaceAll('_', '-');
}

function snakeCase(name: string): string {
  return name.replace(/([a-z0-9])([A-Z])/g, '$1_$2').toLowerCase();
}

/**
 * @throws EngineError JOB_INVALID for a declaration that makes no sense
 * @throws EngineError PARAMETER_INVALID listing every unknown, missing and malformed parameter with the remedy
 * @throws EngineError JOB_NOT_DETERMINISTIC when resolved parameters lack a declared one
 */
export function resolveParameters(
  jobName: string,
  schema: ParameterSchema,
  sources: ParameterSources,
): ResolvedParameters {
  const names = Object.keys(schema);
  checkSchema(jobName, schema, names);
  if (sources.resolvedParameters !== undefined)
    return { values: takeResolved(jobName, names, sources.resolvedParameters), warnings: [] };
  const problems: string[] = [];
  const given = argumentsByName(names, sources, problems);
  checkFileNames(names, sources, problems);
  const values: Record<string, JsonValue> = {};
  for (const name of names) {
    const value = parameterValue(name, schema[name] as Parameter<unknown>, given, sources, problems);
    if (value !== undefined) values[name] = value;
  }
  if (problems.length > 0) {
    throw new EngineError('PARAMETER_INVALID', `job '${jobName}': ${problems.join('; ')}`, { ids: { job: jobName } });
  }
  return { values: Object.freeze(values), warnings: unknownEnvironment(names, sources) };
}

function checkSchema(jobName: string, schema: ParameterSchema, names: readonly string[]): void {
  const environmentNames = new Map<string, string>();
  for (const name of names) {
    const invalid = (why: string): never => {
      throw new EngineError('JOB_INVALID', `job '${jobName}': parameter '${name}' ${why}`);
    };
    if (!namePattern.test(name)) invalid('is not a name; use a letter followed by letters, digits or _');
    const sameName = environmentNames.get(environmentName(name));
    if (sameName !== undefined)
      invalid(`and '${sameName}' are both ${environmentName(name)} in the environment; rename one`);
    environmentNames.set(environmentName(name), name);
    const declared: unknown = schema[name];
    if (typeof declared !== 'object' || declared === null || !('kind' in declared)) {
      invalid('is not declared; use params.string(), params.number() and so on');
    }
    const { defaultValue } = schema[name] as Parameter<unknown>;
    if (defaultValue === undefined) continue;
    const problem = problemOf(schema[name] as Parameter<unknown>, defaultValue);
    if (problem !== null) invalid(`has the default ${JSON.stringify(defaultValue)}, which is ${problem}`);
  }
}

function takeResolved(jobName: string, names: readonly string[], resolved: JsonObject): JsonObject {
  const missing = names.find((name) => !Object.hasOwn(resolved, name));
  if (missing !== undefined) {
    throw new EngineError(
      'JOB_NOT_DETERMINISTIC',
      `job '${jobName}': parameter '${missing}' was not there at submission; a definition declares the same parameters each time it runs`,
    );
  }
  return Object.freeze(Object.fromEntries(names.map((name) => [name, resolved[name] as JsonValue])));
}

/** Arguments under their declared names; unknown ones become problems. */
function argumentsByName(names: readonly string[], sources: ParameterSources, problems: string[]): Map<string, string> {
  const declared = new Map(names.flatMap((name) => [[name, name] as const, [argumentName(name), name] as const]));
  const given = new Map<string, string>();
  for (const [argument, text] of Object.entries(sources.arguments ?? {})) {
    const name = declared.get(argument);
    if (name !== undefined) given.set(name, text);
    else problems.push(`unknown parameter --${argument}${hint(argument, names.map(argumentName), '--')}`);
  }
  return given;
}

function checkFileNames(names: readonly string[], sources: ParameterSources, problems: string[]): void {
  const file = sources.parameterFile;
  for (const name of Object.keys(file?.values ?? {})) {
    if (!names.includes(name)) problems.push(`unknown parameter '${name}' in ${file?.path}${hint(name, names, '')}`);
  }
}

/** The environment is shared with other jobs: a stranger there is worth a word, not a failure. */
function unknownEnvironment(names: readonly string[], sources: ParameterSources): string[] {
  const known = names.map(environmentName);
  return Object.keys(sources.environment ?? {})
    .filter((name) => name.startsWith(environmentPrefix) && !known.includes(name))
    .sort()
    .map((name) => `environment variable ${name} names no parameter of this job${hint(name, known, '')}`);
}

function hint(name: string, candidates: readonly string[], prefix: string): string {
  const nearest = nearestName(name, candidates);
  if (nearest !== null) return `, did you mean ${prefix}${nearest}?`;
  if (candidates.length === 0) return ' (the job declares no parameters)';
  return ` (known: ${candidates.map((candidate) => prefix + candidate).join(', ')})`;
}

function parameterValue(
  name: string,
  declared: Parameter<unknown>,
  given: ReadonlyMap<string, string>,
  sources: ParameterSources,
  problems: string[],
): JsonValue | undefined {
  const argument = given.get(name);
  if (argument !== undefined) return parsed(declared, argument, `--${argumentName(name)}`, problems);
  const variable = sources.environment?.[environmentName(name)];
  if (variable !== undefined) return parsed(declared, variable, environmentName(name), problems);
  const { parameterFile: file } = sources;
  if (file !== undefined && Object.hasOwn(file.values, name))
    return fromFile(declared, file.values[name] as JsonValue, `'${name}' in ${file.path}`, problems);
  if (declared.defaultValue !== undefined) return declared.defaultValue as JsonValue;
  problems.push(
    `parameter '${name}' is missing: give --${argumentName(name)} or set ${environmentName(name)}${declared.description === '' ? '' : ` (${declared.description})`}`,
  );
  return undefined;
}

function parsed(declared: Parameter<unknown>, text: string, where: string, problems: string[]): JsonValue | undefined {
  const value = parseText(declared, text);
  const problem = value === undefined ? expected(declared) : problemOf(declared, value);
  if (problem === null) return value;
  problems.push(
    `${where} is ${JSON.stringify(text)}, ${value === undefined ? `expected ${problem}` : `which is ${problem}`}`,
  );
  return undefined;
}

function fromFile(
  declared: Parameter<unknown>,
  raw: JsonValue,
  where: string,
  problems: string[],
): JsonValue | undefined {
  // A duration is a text with a unit in a file too: a bare number would hide its unit.
  if (declared.kind === 'duration') {
    if (typeof raw === 'string') return parsed(declared, raw, where, problems);
    problems.push(`${where} is ${JSON.stringify(raw)}, expected ${expected(declared)}`);
    return undefined;
  }
  const problem = problemOf(declared, raw);
  if (problem === null) return raw;
  problems.push(`${where} is ${JSON.stringify(raw)}, which is ${problem}`);
  return undefined;
}

function parseText(declared: Parameter<unknown>, text: string): JsonValue | undefined {
  switch (declared.kind) {
    case 'string':
    case 'choice':
      return text;
    case 'boolean':
      return text === 'true' ? true : text === 'false' ? false : undefined;
    case 'duration':
      return parseDuration(text) ?? undefined;
    case 'number':
    case 'integer':
      return text.trim() === '' || Number.isNaN(Number(text)) ? undefined : Number(text);
  }
}

function expected(declared: Parameter<unknown>): string {
  const words = {
    string: 'a text',
    number: 'a number',
    integer: 'a whole number',
    boolean: 'true or false',
    duration: 'a duration such as 10s, 500ms or 1h30m',
    choice: `one of ${declared.choices?.join(', ')}`,
  };
  return words[declared.kind];
}

/** What is wrong with a value, or null. */
function problemOf(declared: Parameter<unknown>, value: unknown): string | null {
  const fits = {
    string: () => typeof value === 'string',
    number: () => typeof value === 'number' && Number.isFinite(value),
    integer: () => Number.isSafeInteger(value),
    boolean: () => typeof value === 'boolean',
    duration: () => Number.isSafeInteger(value) && (value as number) >= 0,
    choice: () => typeof value === 'string' && declared.choices?.includes(value) === true,
  };
  return fits[declared.kind]() ? null : `not ${expected(declared)}`;
}
