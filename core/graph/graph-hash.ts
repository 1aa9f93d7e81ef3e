/**
 * Fingerprints of a job. The graph hash answers "does this state belong to this job, and does it still mean the same":
 * a slot compares it to find definitions that are not deterministic, `run` compares it before it resumes.
 *
 * It is taken over operators and who feeds whom, not over vertices and edges: which operators share a vertex depends on
 * parallelism, and a job may resume with another one.
 */
import { createHash } from 'node:crypto';
import { canonicalJson, type JsonObject, type JsonValue } from '../plain-data.ts';
import { hashedOperators } from './hashed-operators.ts';
import type { JobGraph } from './job-graph.ts';

export {
  describeFunctionDifference,
  functionsFingerprint,
  type FunctionsFingerprint,
  userFunctionsOf,
} from './functions-fingerprint.ts';
export { describeGraphDifference, describeParameterDifference } from './graph-difference.ts';

/** Changes when the meaning of the hash does, so that old and new hashes never match by chance. */
const hashFormatVersion = 1;

/**
 * sha256 (64 hexadecimal digits) of what decides the meaning of state and results.
 *
 * Covered: job name, `maxParallelism`, and of each operator its id, kind, config (with the options of connectors, windows
 * and aggregates), whether it has state, and its inputs with side output and partitioning by key, broadcast, split,
 * global or custom.
 *
 * Not covered: parallelism, chaining, slot sharing and tuning (capacity, timeouts), checkpoint and restart options, display names, whether ids are explicit, the order
 * of independent operators, bodies of functions (see {@link functionsFingerprint}), and parameters except where they reach
 * a config (see {@link describeParameterDifference}).
 */
export function graphHash(graph: JobGraph): string {
  return createHash('sha256')
    .update(canonicalJson(hashedGraph(graph)))
    .digest('hex');
}

function hashedGraph(graph: JobGraph): JsonObject {
  const operators = hashedOperators(graph).map(({ id, kind, config, stateful, inputs }) => ({
    id,
    kind,
    config,
    stateful,
    inputs: [...inputs],
  }));
  return {
    hashFormatVersion,
    name: graph.name,
    maxParallelism: graph.options.maxParallelism,
    operators: operators as unknown as JsonValue,
  };
}
