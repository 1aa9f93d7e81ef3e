/**
 * Turns what the command-line parser says into the error format of the engine, with the nearest right spelling.
 */
import type { CommanderError } from 'commander';
import { EngineError } from '../core/errors.ts';

/** An EngineError USAGE for a parser error. */
export function usageError(error: CommanderError): EngineError {
  const text = error.message.replace(/^error: /, '');
  const suggestion = /\(Did you mean (?:one of )?(.+?)\?\)/s.exec(text)?.[1];
  const what = text.replace(/\n?\(Did you mean[\s\S]*$/, '').replaceAll("'", '');
  if (suggestion !== undefined) return new EngineError('USAGE', `${what} → did you mean ${suggestion}?`);
  if (error.code === 'commander.unknownOption') {
    const option = /option (\S+)/.exec(what)?.[1] ?? '--name';
    return new EngineError(
      'USAGE',
      `${what} → see millrace --help; parameters of the job go after --: millrace run job.ts -- ${option} …`,
    );
  }
  return new EngineError('USAGE', `${what} → see millrace --help`);
}
