/**
 * What a job file exports. The definition carries its own planner, so whoever loads it (client, slot) gets graph and
 * functions without importing the SDK.
 */
import type { OperatorFunctions } from '../operators.ts';
import type { JsonObject } from '../plain-data.ts';
import type { JobGraph } from './job-graph.ts';

/** Found on every job definition, also one made by another copy of the engine. */
export const jobDefinitionBrand: unique symbol = Symbol.for('millrace.JobDefinition') as never;

/** What a definition is planned with: parameters, from one of several places, and overrides of its options. */
export interface PlanOptions {
  /** Job arguments, `name → text`; empty when parameters are already resolved. */
  readonly arguments?: Readonly<Record<string, string>>;
  /** Environment to resolve parameters from. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
  /** Parameters of a file, already parsed; `path` is for messages. Looked at after arguments and environment. */
  readonly parameterFile?: { readonly path: string; readonly values: JsonObject };
  /** Parameters resolved at submission (in a slot): taken as they are, nothing else is looked at. */
  readonly resolvedParameters?: JobGraph['parameters'];
  /** Parallelism of operators that do not set their own; default 1. */
  readonly parallelism?: number;
  /** Overrides of job options, from the command line. */
  readonly options?: Partial<JobGraph['options']>;
}

/** A planned job: its graph as data, its functions by operator id, and what its author should look at. */
export interface PlannedJob {
  readonly graph: JobGraph;
  readonly functions: ReadonlyMap<string, OperatorFunctions>;
  readonly warnings: readonly string[];
}

/** What a job file exports, made by `defineJob`. */
export interface JobDefinition {
  readonly [jobDefinitionBrand]: true;
  readonly name: string;
  /** Runs the definition: synchronous and pure, the same result for the same options. */
  plan(options: PlanOptions): PlannedJob;
}

/** True when a value is a job definition of this or another copy of the engine. */
export function isJobDefinition(value: unknown): value is JobDefinition {
  return typeof value === 'object' && value !== null && (value as Record<symbol, unknown>)[jobDefinitionBrand] === true;
}
