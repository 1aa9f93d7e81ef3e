/**
 * `millrace check`: type-checks a job file with the project's own TypeScript and tsconfig.json, then plans it. Bundling
 * drops types without looking at them, so `run` would start a job that does not type-check.
 */
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { statSync } from 'node:fs';
import type TypeScript from 'typescript';
import { EngineError } from '../../core/errors.ts';
import { type PlanCommandOptions, preparePlan } from '../plan/plan-command.ts';
import type { Terminal } from '../output/terminal.ts';

/**
 * Checks one job file.
 * @returns the number of type errors
 * @throws EngineError USAGE when there is no such file or no TypeScript, JOB_INVALID when it type-checks but cannot be planned
 */
export async function checkCommand(
  options: PlanCommandOptions,
  terminal: Terminal,
  environment: Readonly<Record<string, string | undefined>>,
): Promise<number> {
  const file = resolve(options.jobFile);
  if (statSync(file, { throwIfNoEntry: false })?.isFile() !== true)
    throw new EngineError('USAGE', `there is no job file ${file} → check the path`, { ids: { file } });
  const ts = loadTypeScript(file);
  const program = programOf(ts, file);
  const diagnostics = ts.getPreEmitDiagnostics(program);
  const errors = diagnostics.filter((diagnostic) => diagnostic.category === ts.DiagnosticCategory.Error);
  if (errors.length > 0) {
    tellErrors(ts, errors, options, terminal);
    return errors.length;
  }
  const job = await preparePlan(options, environment);
  for (const warning of job.warnings) terminal.note(`warning: ${warning}`);
  const { vertices } = job.graph;
  if (options.json)
    terminal.line(JSON.stringify({ ok: true, job: job.graph.name, errors: [], warnings: job.warnings }));
  else terminal.line(`${options.jobFile}: types are right, job ${job.graph.name} has ${vertices.length} vertices`);
  return 0;
}

function tellErrors(
  ts: typeof TypeScript,
  errors: readonly TypeScript.Diagnostic[],
  { json, jobFile }: PlanCommandOptions,
  terminal: Terminal,
): void {
  const host: TypeScript.FormatDiagnosticsHost = {
    getCanonicalFileName: (name) => name,
    getCurrentDirectory: () => process.cwd(),
    getNewLine: () => '\n',
  };
  if (json) {
    const texts = errors.map((error) => ts.formatDiagnostic(error, host).trimEnd());
    terminal.line(JSON.stringify({ ok: false, errors: texts }));
    return;
  }
  const colored = process.stderr.isTTY === true;
  const format = colored ? ts.formatDiagnosticsWithColorAndContext : ts.formatDiagnostics;
  terminal.error(format(errors, host).trimEnd());
  terminal.error(`${jobFile}: ${errors.length} type ${errors.length === 1 ? 'error' : 'errors'}`);
}

/** The TypeScript of the job's project: another version would judge it by other rules than the editor does. */
function loadTypeScript(file: string): typeof TypeScript {
  try {
    return createRequire(file)('typescript') as typeof TypeScript;
  } catch (cause) {
    const message = `typescript is not installed where ${file} is → npm install --save-dev typescript`;
    throw new EngineError('USAGE', message, { ids: { file }, cause });
  }
}

function programOf(ts: typeof TypeScript, file: string): TypeScript.Program {
  return ts.createProgram({ rootNames: [file], options: { ...optionsFor(ts, file), noEmit: true } });
}

/** Of the nearest tsconfig.json; strict defaults of a current project without one. */
function optionsFor(ts: typeof TypeScript, file: string): TypeScript.CompilerOptions {
  const path = ts.findConfigFile(dirname(file), (name) => ts.sys.fileExists(name));
  if (path === undefined) {
    return {
      strict: true,
      target: ts.ScriptTarget.ES2023,
      module: ts.ModuleKind.NodeNext,
      moduleResolution: ts.ModuleResolutionKind.NodeNext,
      allowImportingTsExtensions: true,
      skipLibCheck: true,
    };
  }
  const config = ts.readConfigFile(path, (name) => ts.sys.readFile(name));
  const parsed = ts.parseJsonConfigFileContent(config.config ?? {}, ts.sys, dirname(path), undefined, path);
  const [problem] = config.error === undefined ? parsed.errors.filter(isFatal) : [config.error];
  if (problem === undefined) return parsed.options;
  const text = ts.flattenDiagnosticMessageText(problem.messageText, '\n');
  throw new EngineError('JOB_INVALID', `${join(path)} cannot be used: ${text} → mend it`, { ids: { file: path } });
}

/** That a project has no input files (18003) says nothing about the one that is checked. */
const isFatal = (diagnostic: TypeScript.Diagnostic): boolean => diagnostic.code !== 18003;
