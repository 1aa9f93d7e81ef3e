/**
 * `defineJob`: a job file's one export. The definition is a recipe: each `plan` runs the author's function again from
 * nothing, on the client to get the graph, in each slot to get the functions. So the function must be synchronous and
 * depend on nothing but its parameters.
 */
import type { Source, SourceLike } from '../../core/connector/index.ts';
import { EngineError, isEngineError } from '../../core/errors.ts';
import {
  type JobDefinition,
  jobDefinitionBrand,
  type PlannedJob,
  type PlanOptions,
} from '../../core/graph/job-definition.ts';
import type { JsonObject } from '../../core/plain-data.ts';
import type { ParameterSchema, ParameterValues } from '../parameters/parameter-types.ts';
import { resolveParameters } from '../parameters/resolve-parameters.ts';
import { LogicalGraph } from '../plan/logical-graph.ts';
import { planLogicalGraph } from '../plan/plan-logical-graph.ts';
import { checkCount, checkId, checkName } from '../streams/checks.ts';
import { streamOfSource } from '../streams/stream-builder.ts';
import type { SourceStream } from '../streams/stream-types.ts';
import { type JobSettings, resolveJobOptions } from './job-settings.ts';

export interface SourceOptions {
  /** What the source is called in progress, messages and plots. */
  readonly name?: string;
  /** Id of the source's state, see {@link OperatorSettings.uid}. */
  readonly uid?: string;
  /** Number of reader subtasks; default: the job's. */
  readonly parallelism?: number;
}

/** What a job definition is built with. Valid only while the definition runs. */
export interface JobEnvironment {
  readonly jobName: string;
  /** Parallelism of operators that do not set their own. Set it with `env.options` before it is read. */
  readonly parallelism: number;
  /** Starts a stream. */
  from<T>(source: SourceLike<T>, options?: SourceOptions): SourceStream<T>;
  /**
   * Declares the job's parameters and gives their values: from `--name value`, the environment (`MILLRACE_PARAM_NAME`), a
   * parameter file, or the default, in this order. At most once per definition.
   * @throws EngineError PARAMETER_INVALID naming every unknown, missing or malformed parameter
   */
  params<S extends ParameterSchema>(schema: S): ParameterValues<S>;
  /** Sets options of the job; a later call adds to an earlier one. The command line has the last word. */
  options(settings: JobSettings): void;
}

/**
 * Defines a job.
 * @param name    1 to 100 letters, digits, `.`, `_`, `-`; state belongs to a job of this name
 * @param define  builds the streams; synchronous and pure
 * @param settings options of the job, as `env.options` takes them
 * @throws EngineError JOB_INVALID when the name is not one
 */
export function defineJob(
  name: string,
  define: (env: JobEnvironment) => void,
  settings: JobSettings = {},
): JobDefinition {
  checkId(name, 'job name');
  if (typeof define !== 'function')
    throw new EngineError('JOB_INVALID', `job '${name}': defineJob(name, (env) => { ... }) needs a function`);
  return Object.freeze({
    [jobDefinitionBrand]: true as const,
    name,
    plan: (options: PlanOptions): PlannedJob => planDefinition(name, define, settings, options),
  });
}

/** The job graph and the functions of a job. The same as `definition.plan(options)`. */
export function planJob(definition: JobDefinition, options: PlanOptions = {}): PlannedJob {
  return definition.plan(options);
}

function planDefinition(
  name: string,
  define: (env: JobEnvironment) => void,
  settings: JobSettings,
  options: PlanOptions,
): PlannedJob {
  const environment = new Environment(name, settings, options);
  const returned = runDefinition(name, define, environment);
  environment.graph.close();
  if (typeof returned === 'object' && returned !== null && 'then' in returned) {
    throw new EngineError(
      'JOB_INVALID',
      `job '${name}': the definition is asynchronous; make it synchronous and read outside data by a source or a parameter`,
    );
  }
  const { values, warnings } = environment.takeParameters();
  const planned = planLogicalGraph(environment.graph, environment.resolvedOptions(), values);
  return { ...planned, warnings: [...warnings, ...planned.warnings] };
}

/** What the definition throws itself becomes an error that names the job; the cause keeps the author's stack. */
function runDefinition(name: string, define: (env: JobEnvironment) => void, environment: Environment): unknown {
  try {
    return define(environment);
  } catch (error) {
    if (isEngineError(error)) throw error;
    const message = error instanceof Error ? error.message : String(error);
    throw new EngineError('JOB_INVALID', `job '${name}': its definition threw: ${message}`, {
      cause: error,
      ids: { job: name },
    });
  }
}

class Environment implements JobEnvironment {
  readonly jobName: string;
  readonly graph: LogicalGraph;
  readonly #settings: JobSettings[];
  readonly #planOptions: PlanOptions;
  #parameters: { readonly values: JsonObject; readonly warnings: readonly string[] } | null = null;

  constructor(jobName: string, settings: JobSettings, planOptions: PlanOptions) {
    this.jobName = jobName;
    this.graph = new LogicalGraph(jobName);
    this.#settings = [settings];
    this.#planOptions = planOptions;
  }

  get parallelism(): number {
    return this.resolvedOptions().parallelism;
  }

  from<T>(sourceLike: SourceLike<T>, options: SourceOptions = {}): SourceStream<T> {
    const source = sourceOf(sourceLike, this.jobName);
    const { kind, boundedness } = source;
    const node = this.graph.add({
      kind: 'source',
      inputs: [],
      functions: { kind: 'source-reader', source: source as Source<unknown> },
      config: { source: kind, options: source.options, boundedness },
      defaultName: kind,
    });
    if (options.name !== undefined) node.name = checkName(options.name, 'name');
    if (options.uid !== undefined) node.uid = checkId(options.uid, 'uid');
    if (options.parallelism !== undefined) node.parallelism = checkCount(options.parallelism, 'parallelism');
    return streamOfSource<T>(this.graph, node);
  }

  params<S extends ParameterSchema>(schema: S): ParameterValues<S> {
    this.graph.assertOpen();
    if (this.#parameters !== null)
      throw new EngineError(
        'JOB_INVALID',
        `job '${this.jobName}' calls env.params twice; declare all parameters in one call`,
      );
    this.#parameters = resolveParameters(this.jobName, schema, this.#planOptions);
    return this.#parameters.values as unknown as ParameterValues<S>;
  }

  options(settings: JobSettings): void {
    this.graph.assertOpen();
    this.#settings.push(settings);
  }

  /** The parameters; a job that declares none refuses the arguments it was given. */
  takeParameters(): { readonly values: JsonObject; readonly warnings: readonly string[] } {
    return this.#parameters ?? resolveParameters(this.jobName, {}, this.#planOptions);
  }

  resolvedOptions(): ReturnType<typeof resolveJobOptions> {
    const { parallelism, options = {} } = this.#planOptions;
    return resolveJobOptions(this.jobName, this.#settings, {
      ...(parallelism === undefined ? {} : { parallelism }),
      ...options,
    });
  }
}

function sourceOf<T>(sourceLike: SourceLike<T>, jobName: string): Source<T> {
  const candidate: unknown =
    typeof sourceLike === 'object' && sourceLike !== null && 'source' in sourceLike ? sourceLike.source : sourceLike;
  if (typeof candidate !== 'object' || candidate === null || (candidate as { type?: unknown }).type !== 'source') {
    throw new EngineError(
      'JOB_INVALID',
      `job '${jobName}': env.from(...) needs a source, for example files.jsonl('in.jsonl') of millrace/files`,
    );
  }
  return candidate as Source<T>;
}
