/**
 * Reads the options of a process: `millrace.yaml` in the working directory, or the file that `--config` or MILLRACE_CONFIG
 * names, then the environment, then the flags. Relative paths that a file names mean its directory.
 */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, isAbsolute, resolve } from 'node:path';
import { parseDocument } from 'yaml';
import type { ConfiguredProcess } from '../../core/config/options.ts';
import { optionSpec } from '../../core/config/options.ts';
import { pathType, storageType } from '../../core/config/option-types.ts';
import { ResolvedConfig, type ResolvedOption, resolveConfig } from '../../core/config/resolve-config.ts';
import { EngineError } from '../../core/errors.ts';

export interface ConfigSources {
  readonly process: ConfiguredProcess;
  /** Flag as typed, without its value → value. */
  readonly flags: Readonly<Record<string, string>>;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly workingDirectory: string;
  /** `--config`; null: not given. */
  readonly configFile: string | null;
}

const fileDefault = 'millrace.yaml';
const fileMaxBytes = 1024 * 1024;

/** @throws EngineError CONFIG_INVALID */
export function readConfig(sources: ConfigSources): ResolvedConfig {
  const { process, flags, environment, workingDirectory } = sources;
  const named = sources.configFile ?? environment['MILLRACE_CONFIG'] ?? null;
  const path = resolve(workingDirectory, named ?? fileDefault);
  const file = named === null && !existsSync(path) ? null : { name: named ?? fileDefault, content: contentOf(path) };
  const config = resolveConfig({ process, flags, environment, file });
  return absolutePaths(config, { file: dirname(path), elsewhere: workingDirectory });
}

function contentOf(path: string): unknown {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw invalid(`the file of options ${path} cannot be read: ${(error as Error).message}`, path, error);
  }
  if (text.length > fileMaxBytes)
    throw invalid(`${path} has more than ${fileMaxBytes} bytes; it is no file of options`, path);
  const document = parseDocument(text, { uniqueKeys: true, prettyErrors: false });
  const [problem] = document.errors;
  if (problem !== undefined) {
    // Without the library's own text, which quotes the line.
    const line = text.slice(0, problem.pos[0]).split('\n').length;
    throw invalid(`${path} is not YAML: line ${line}: ${problem.code.toLowerCase().replaceAll('_', ' ')}`, path);
  }
  return document.toJS({ maxAliasCount: 0 }) as unknown;
}

function absolutePaths(
  config: ResolvedConfig,
  directories: { readonly file: string; readonly elsewhere: string },
): ResolvedConfig {
  const options = config.all().map((option): readonly [ResolvedOption['key'], ResolvedOption] => {
    const { type } = optionSpec(option.key);
    const isPath = type === pathType || type === storageType;
    const { value } = option;
    if (!isPath || typeof value !== 'string' || isAbsolute(value) || value.startsWith('s3://'))
      return [option.key, option];
    const directory = option.origin === 'file' ? directories.file : directories.elsewhere;
    return [option.key, { ...option, value: resolve(directory, value) }];
  });
  return new ResolvedConfig(new Map(options));
}

function invalid(message: string, file: string, cause?: unknown): EngineError {
  return new EngineError('CONFIG_INVALID', message, { ids: { file }, ...(cause === undefined ? {} : { cause }) });
}
