/**
 * Side outputs to which an operator sends by itself, without its function naming them: failed, late, unanswered records.
 * Planning refuses a reader of any other, and warns of records that nobody would see.
 */
import type { JsonObject, JsonValue } from '../../core/plain-data.ts';
import type { LogicalNode } from './logical-graph.ts';

export interface EngineOutput {
  readonly tag: string;
  /** The records in words; null where it is no surprise that nobody reads them. */
  readonly records: string | null;
}

/** The side outputs of a node, without those its function may name; two may have one tag. */
export function engineOutputsOf(node: LogicalNode): EngineOutput[] {
  const { config, kind } = node;
  const candidates: readonly (readonly [string | null, string | null])[] = [
    [tagOf(node.onError as JsonValue), `failed records of`],
    [tagOf(config['onTimeout']), 'records not answered in time by'],
    [kind === 'timestamps' ? tagOf(config['onBadTimestamp']) : null, 'records with bad timestamps of'],
    ...[...node.lateTags].map((tag) => [tag, null] as const),
  ];
  return candidates.flatMap(([tag, records]) => (tag === null ? [] : [{ tag, records }]));
}

/** The tag of `{ sideOutput: tag }`, null for every other reaction. */
function tagOf(reaction: JsonValue | undefined): string | null {
  if (typeof reaction !== 'object' || reaction === null) return null;
  const tag = (reaction as JsonObject)['sideOutput'];
  return typeof tag === 'string' ? tag : null;
}
