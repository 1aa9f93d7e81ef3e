/**
 * Where a call on a stream adds its node: the job's graph, the ends the node reads, and what makes a stream of a node. It is
 * handed along from stream to stream, so that keyed, windowed and connected streams need not know the class of the result.
 */
import { EngineError } from '../../core/errors.ts';
import type { OperatorFunctions } from '../../core/operators.ts';
import type { JsonObject } from '../../core/plain-data.ts';
import type { LogicalGraph, LogicalKind, LogicalNode, StreamEnd } from '../plan/logical-graph.ts';
import type { ChangelogStream, IntervalJoinStream } from './changelog-types.ts';
import type { CoGroupedStream, WindowStream } from './window-types.ts';

/** The main output of a node as every kind of operator sees it; the return types of the interfaces say which calls make sense. */
export type NodeStream<T, In, Second> = ChangelogStream<T> &
  WindowStream<T, In> &
  CoGroupedStream<T, In, Second> &
  IntervalJoinStream<T, In, Second>;

export interface BuildSite {
  readonly graph: LogicalGraph;
  /** Read on input 0. */
  readonly first: readonly StreamEnd[];
  /** Read on input 1; empty for an operator with one input. */
  readonly second: readonly StreamEnd[];
  readonly streamOf: <T, In, Second>(node: LogicalNode) => NodeStream<T, In, Second>;
}

/** What the checks of a call make of its arguments: an operator to be. */
export interface NodeParts {
  readonly functions: OperatorFunctions;
  readonly config: JsonObject;
  /** See `OperatorNode.tuning`. */
  readonly tuning?: JsonObject;
}

/** Adds a node that reads the ends of the site. Sources and sinks are two operators each and added as what they are. */
export function addNode({ graph, first, second }: BuildSite, parts: NodeParts): LogicalNode {
  const { kind } = parts.functions;
  if (!isTransformation(kind))
    throw new EngineError('INTERNAL', `a ${kind} is not added as a transformation`, { domain: 'internal' });
  const inputs = [...first.map((end) => ({ ...end, input: 0 })), ...second.map((end) => ({ ...end, input: 1 }))];
  return graph.add({ ...parts, kind, inputs });
}

/** The same as a stream. */
export function addStream<T, In, Second = never>(site: BuildSite, parts: NodeParts): NodeStream<T, In, Second> {
  return site.streamOf(addNode(site, parts));
}

function isTransformation(kind: OperatorFunctions['kind']): kind is Exclude<LogicalKind, 'source' | 'sink'> {
  return !kind.startsWith('source-') && !kind.startsWith('sink-');
}

/** What all streams without a key have in common; in this file, so that others can tell a stream from something else. */
export class StreamEnds {
  readonly site: BuildSite;
  /** True for a stream made by `broadcast()`: `connect` treats it as the broadcast side. */
  readonly broadcasts: boolean = false;

  constructor(site: BuildSite) {
    this.site = site;
  }

  get ends(): readonly StreamEnd[] {
    return this.site.first;
  }
}

/** The ends of what should be a stream. @throws EngineError JOB_INVALID when it is not */
export function endsOf(stream: unknown, what: string): readonly StreamEnd[] {
  if (stream instanceof StreamEnds) return stream.ends;
  const got = stream === null ? 'null' : typeof stream;
  throw new EngineError('JOB_INVALID', `${what} needs a stream of this job, got ${got}`);
}

export function isBroadcast(stream: unknown): stream is StreamEnds {
  return stream instanceof StreamEnds && stream.broadcasts;
}
