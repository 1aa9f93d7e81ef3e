/**
 * The value of every option and where it came from: flags before environment before file before default. Pure: whoever
 * calls has read the file and the environment. A name nobody knows is refused, with the nearest that is known, because a
 * misspelt option that is ignored is a setting somebody believes in.
 */
import { EngineError } from '../errors.ts';
import { nearestName } from '../nearest-name.ts';
import { hiddenText } from '../security/secret.ts';
import {
  belongsTo,
  type ConfiguredProcess,
  flagOf,
  type OptionKey,
  optionKeys,
  optionSpec,
  type OptionValue,
  variableOf,
} from './options.ts';

/** What a process was given. */
export interface ConfigInput {
  readonly process: ConfiguredProcess;
  /** `--lease-ttl` → text. */
  readonly flags: Readonly<Record<string, string>>;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Content of the file and its name; null without one. */
  readonly file: { readonly name: string; readonly content: unknown } | null;
}

export type ConfigOrigin = 'flag' | 'environment' | 'file' | 'default';

export interface ResolvedOption {
  readonly key: OptionKey;
  readonly value: unknown;
  readonly origin: ConfigOrigin;
  /** In words: `--lease-ttl`, `MILLRACE_LEASE_TTL`, `millrace.yaml`, `default`. */
  readonly from: string;
}

export class ResolvedConfig {
  readonly #options: ReadonlyMap<OptionKey, ResolvedOption>;

  constructor(options: ReadonlyMap<OptionKey, ResolvedOption>) {
    this.#options = options;
  }

  get<Key extends OptionKey>(key: Key): OptionValue<Key> {
    return this.option(key).value as OptionValue<Key>;
  }

  /** @throws EngineError INTERNAL when the process has no such option */
  option(key: OptionKey): ResolvedOption {
    const option = this.#options.get(key);
    if (option !== undefined) return option;
    throw new EngineError('INTERNAL', `this process has no option ${key}`, {
      domain: 'internal',
      ids: { option: key },
    });
  }

  /** In the order of the list. */
  all(): readonly ResolvedOption[] {
    return [...this.#options.values()];
  }
}

/** Environment variables that begin as options do, and are something else. */
const otherVariables = /^MILLRACE_(PARAM_|CONFIG$|CHAOS|FAILPOINT|TEST_|RETRY)/;

/** @throws EngineError CONFIG_INVALID naming the option, where it was given, what was expected and what it was given */
export function resolveConfig(input: ConfigInput): ResolvedConfig {
  const keys = optionKeys.filter((key) => belongsTo(key, input.process));
  const fromFile = input.file === null ? new Map<OptionKey, string>() : readFile(input.file);
  refuseUnknownFlags(input, keys);
  refuseUnknownVariables(input);
  const options = keys.map((key) => [key, resolveOption(key, input, fromFile)] as const);
  const config = new ResolvedConfig(new Map(options));
  refuseHalfTls(config, keys);
  return config;
}

function resolveOption(key: OptionKey, input: ConfigInput, fromFile: ReadonlyMap<OptionKey, string>): ResolvedOption {
  const flag = flagOf(key);
  const flagText = flag === null ? undefined : input.flags[flag];
  if (flag !== null && flagText !== undefined) return read(key, flagText, 'flag', flag);
  const variable = variableOf(key);
  const variableText = input.environment[variable];
  // An empty variable is how compose files and shells write none.
  if (variableText !== undefined && variableText !== '') return read(key, variableText, 'environment', variable);
  const fileText = fromFile.get(key);
  if (fileText !== undefined) return read(key, fileText, 'file', input.file?.name ?? '');
  return { key, value: optionSpec(key).default, origin: 'default', from: 'default' };
}

function read(key: OptionKey, text: string, origin: ConfigOrigin, from: string): ResolvedOption {
  const { type, secret } = optionSpec(key);
  const reading = type.read(text);
  if ('value' in reading) return { key, value: reading.value, origin, from };
  const given = secret ? hiddenText : `"${text}"`;
  throw invalid(`${key} (${from}) is ${reading.expected}, not ${given}`, key);
}

/** The file may nest (`etcd: { prefix: … }`) or write keys with dots; lists may be lists. */
function readFile({ name, content }: { readonly name: string; readonly content: unknown }): Map<OptionKey, string> {
  const found = new Map<OptionKey, string>();
  if (content === null || content === undefined) return found;
  if (typeof content !== 'object' || Array.isArray(content)) {
    throw invalid(`${name} is not a list of options with values → write lines such as leaseTtl: 5s`, name);
  }
  const walk = (value: object, path: string): void => {
    for (const [word, inner] of Object.entries(value)) {
      const key = path === '' ? word : `${path}.${word}`;
      const isGroup = optionKeys.some((one) => one.startsWith(`${key}.`));
      const nested = typeof inner === 'object' && inner !== null && !Array.isArray(inner);
      if (isGroup && (nested || inner === null)) {
        if (nested) walk(inner, key);
        continue;
      }
      if (isKey(key)) {
        if (found.has(key)) throw invalid(`${key} stands twice in ${name}`, key);
        const text = textOf(inner);
        if (text === null)
          throw invalid(`${key} (${name}) is ${optionSpec(key).type.form}, not a group of options`, key);
        if (optionSpec(key).secret)
          throw invalid(`${key} does not belong into a file of options (${name}) → give ${variableOf(key)}`, key);
        if (text !== '') found.set(key, text);
        continue;
      }
      throw unknownOption(`${name} has an option "${key}", which there is none of`, key, optionKeys);
    }
  };
  walk(content, '');
  return found;
}

function isKey(text: string): text is OptionKey {
  return (optionKeys as readonly string[]).includes(text);
}

function textOf(value: unknown): string | null {
  if (value === null) return '';
  if (Array.isArray(value)) return value.every((one) => typeof one !== 'object') ? value.join(',') : null;
  return typeof value === 'object' ? null : String(value);
}

function refuseUnknownFlags({ flags, process }: ConfigInput, keys: readonly OptionKey[]): void {
  const known = keys.flatMap((key) => flagOf(key) ?? []);
  for (const flag of Object.keys(flags)) {
    if (known.includes(flag)) continue;
    throw unknownOption(`millrace ${process} has no option ${flag}`, flag, known);
  }
}

function refuseUnknownVariables({ environment }: ConfigInput): void {
  const known = optionKeys.map(variableOf);
  for (const name of Object.keys(environment)) {
    if (!name.startsWith('MILLRACE_') || otherVariables.test(name) || known.includes(name)) continue;
    // Only what looks like a misspelt option: other programs may have variables of that prefix.
    if (nearestName(name, known) === null) continue;
    throw unknownOption(`the environment variable ${name} is no option`, name, known);
  }
}

/** One of three files is never what somebody wants: it would be clear text where encryption was meant. */
function refuseHalfTls(config: ResolvedConfig, keys: readonly OptionKey[]): void {
  for (const group of ['tls', 'etcd'] as const) {
    const files = ([`${group}.ca`, `${group}.cert`, `${group}.key`] as const).filter((key) => keys.includes(key));
    const missing = files.filter((key) => config.get(key) === null);
    // etcd may be trusted by its authority alone.
    const onlyCa = group === 'etcd' && missing.length === 2 && !missing.includes('etcd.ca');
    if (missing.length === 0 || missing.length === files.length || onlyCa) continue;
    throw invalid(`${missing.join(' and ')} is missing: ${files.join(', ')} are given together`, missing[0] as string);
  }
}

function unknownOption(what: string, name: string, known: readonly string[]): EngineError {
  const nearest = nearestName(name, known);
  return invalid(`${what} → ${nearest === null ? 'see --help' : `did you mean ${nearest}?`}`, name);
}

function invalid(message: string, option: string): EngineError {
  return new EngineError('CONFIG_INVALID', message, { ids: { option } });
}
