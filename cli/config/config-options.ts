/**
 * The options of a process on the command line, made from the one list. Flags are taken as text and have no default here:
 * what was not typed must be seen as not typed, so that environment, file and default get their turn.
 */
import { type Command, Option } from 'commander';
import { configLines, valueText } from '../../core/config/config-text.ts';
import { switchType } from '../../core/config/option-types.ts';
import {
  belongsTo,
  type ConfiguredProcess,
  flagOf,
  optionKeys,
  optionSpec,
  variableOf,
} from '../../core/config/options.ts';
import type { ResolvedConfig } from '../../core/config/resolve-config.ts';
import { readConfig } from './read-config.ts';

/** Adds all flags of a process, `--config` and `--print-config`. */
export function addConfigOptions(command: Command, process: ConfiguredProcess): Command {
  for (const key of optionKeys) {
    const flag = flagOf(key);
    if (flag === null || !belongsTo(key, process)) continue;
    const { type, description, default: standard } = optionSpec(key);
    const isList = Array.isArray(standard);
    const placeholder = isList ? type.placeholder.replace(/,…$/, '') : type.placeholder;
    const again = isList ? '; may be given again' : '';
    const text = `${description}${again}. Default: ${valueText(key, standard)} [${variableOf(key)}]`;
    const option = new Option(`${flag} ${placeholder}`.trim(), text);
    if (isList)
      option.argParser((value: string, before?: string) => (before === undefined ? value : `${before},${value}`));
    command.addOption(option);
  }
  return command
    .addOption(
      new Option('--config <file>', 'file of options. Default: millrace.yaml, if it is there [MILLRACE_CONFIG]'),
    )
    .addOption(new Option('--print-config', 'print every option with its value and where it comes from, and end'));
}

/** What was typed, by flag; for a command made by {@link addConfigOptions}. */
export function typedFlags(command: Command, process: ConfiguredProcess): Readonly<Record<string, string>> {
  const typed: Record<string, string> = {};
  for (const option of command.options) {
    const key = optionKeys.find((one) => belongsTo(one, process) && flagOf(one) === option.long);
    if (key === undefined || option.long === undefined || option.long === null) continue;
    if (command.getOptionValueSource(option.attributeName()) !== 'cli') continue;
    const value: unknown = command.getOptionValue(option.attributeName());
    typed[option.long] = optionSpec(key).type === switchType ? 'true' : String(value);
  }
  return typed;
}

/** Where the command runs. */
export interface ConfigSurroundings {
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly workingDirectory: string;
  readonly line: (text: string) => void;
}

/**
 * The options of a command that is called; null when they were printed instead and nothing is to be done.
 * @throws EngineError CONFIG_INVALID
 */
export function configOfCommand(
  command: Command,
  process: ConfiguredProcess,
  { environment, workingDirectory, line }: ConfigSurroundings,
): ResolvedConfig | null {
  const { config: configFile, printConfig } = command.opts<{ config?: string; printConfig?: boolean }>();
  const flags = typedFlags(command, process);
  const config = readConfig({ process, flags, environment, workingDirectory, configFile: configFile ?? null });
  if (printConfig !== true) return config;
  for (const text of configLines(config)) line(text);
  return null;
}
