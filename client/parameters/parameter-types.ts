/**
 * Typed job parameters. A declaration is data: what it is, its default, what it means; `env.params(schema)` resolves them
 * at submission and the resolved values travel in the graph.
 */
import { EngineError } from '../../core/errors.ts';

/** How the text of a parameter is read. */
export type ParameterKind = 'string' | 'number' | 'integer' | 'boolean' | 'duration' | 'choice';

/** One declared parameter; `T` is the type its value has in the job. */
export interface Parameter<T> {
  readonly kind: ParameterKind;
  /** Undefined: the parameter must be given. */
  readonly defaultValue: T | undefined;
  readonly description: string;
  /** The allowed values of a `choice`, else null. */
  readonly choices: readonly string[] | null;
}

/** What the functions of {@link params} take. */
export interface ParameterOptions<T> {
  /** Without it the parameter must be given. */
  readonly default?: T;
  readonly description?: string;
}

/** Declared parameters by name; `windowSize` is given as `--window-size`. */
export type ParameterSchema = { readonly [name: string]: Parameter<unknown> };
/** The object `env.params(schema)` returns. */
export type ParameterValues<S extends ParameterSchema> = {
  readonly [Name in keyof S]: S[Name] extends Parameter<infer T> ? T : never;
};

function parameter<T>(
  kind: ParameterKind,
  options: ParameterOptions<T>,
  choices: readonly string[] | null = null,
): Parameter<T> {
  return Object.freeze({ kind, defaultValue: options.default, description: options.description ?? '', choices });
}

/** Declares parameters for `env.params({ ... })`. */
export const params = {
  /** Any text. */
  string: (options: ParameterOptions<string> = {}): Parameter<string> => parameter('string', options),
  /** A finite number. */
  number: (options: ParameterOptions<number> = {}): Parameter<number> => parameter('number', options),
  /** A whole number within ±(2^53 - 1). */
  integer: (options: ParameterOptions<number> = {}): Parameter<number> => parameter('integer', options),
  /** `true` or `false`. */
  boolean: (options: ParameterOptions<boolean> = {}): Parameter<boolean> => parameter('boolean', options),
  /** A duration in ms in the job; given as `10s`, `500ms`, `1h30m`. */
  duration: (options: ParameterOptions<number> = {}): Parameter<number> => parameter('duration', options),
  /** One of a few texts. */
  choice: <const C extends string>(choices: readonly C[], options: ParameterOptions<NoInfer<C>> = {}): Parameter<C> => {
    if (!Array.isArray(choices) || choices.length === 0) {
      throw new EngineError('JOB_INVALID', 'params.choice([...]) needs at least one value to choose from');
    }
    return parameter<C>('choice', options, Object.freeze([...choices]));
  },
} as const;
