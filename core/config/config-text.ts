/** The options in words: for `--help`, for `--print-config`, and for the page that documents them. Pure. */
import { hiddenText } from '../security/secret.ts';
import {
  belongsTo,
  type ConfiguredProcess,
  configuredProcesses,
  flagOf,
  type OptionKey,
  optionKeys,
  optionSpec,
  variableOf,
} from './options.ts';
import type { ResolvedConfig } from './resolve-config.ts';

/** Text of a value as it would be given; `none` for no value, `***` for a secret. */
export function valueText(key: OptionKey, value: unknown): string {
  const { type, secret } = optionSpec(key);
  if (value === null || (Array.isArray(value) && value.length === 0)) return 'none';
  return secret ? hiddenText : type.write(value);
}

/** Lines of `--help`: flag, meaning, default, variable. */
export function helpLines(process: ConfiguredProcess): readonly string[] {
  return optionKeys
    .filter((key) => belongsTo(key, process))
    .map((key) => {
      const { type, description } = optionSpec(key);
      const flag = flagOf(key);
      const typed = flag === null ? '(no flag)' : `${flag} ${type.placeholder}`.trim();
      return `  ${typed}\n      ${description}. Default: ${valueText(key, optionSpec(key).default)} (${variableOf(key)}, ${key})`;
    });
}

/** Lines of `--print-config`: every option with its value and where it came from. */
export function configLines(config: ResolvedConfig): readonly string[] {
  const options = config.all();
  const width = Math.max(...options.map(({ key }) => key.length));
  return options.map(({ key, value, from }) => `${key.padEnd(width)}  ${valueText(key, value)}  (${from})`);
}

/** The table of docs/operations/configuration.md. */
export function configTable(): string {
  const rows = optionKeys.map((key) => {
    const { type, description, processes } = optionSpec(key);
    const flag = flagOf(key);
    const standard = valueText(key, optionSpec(key).default);
    return `| \`${key}\` | ${flag === null ? '—' : `\`${flag}\``} | \`${variableOf(key)}\` | ${escapeCell(type.form)} | ${standard === 'none' ? 'none' : `\`${standard}\``} | ${configuredProcesses.filter((name) => processes.includes(name)).join(', ')} | ${escapeCell(description)} |`;
  });
  const head =
    '| Key in `millrace.yaml` | Flag | Environment | Value | Default | Of | Meaning |\n|---|---|---|---|---|---|---|';
  return `${head}\n${rows.join('\n')}\n`;
}

const escapeCell = (text: string): string => text.replaceAll('|', '\\|');
