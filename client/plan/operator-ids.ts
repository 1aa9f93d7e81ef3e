/**
 * Ids of operators: what the author gave, or a readable path of kind, name and ordinal (`map-clean-1`). The ordinal counts
 * per kind and name, so an operator added elsewhere moves only its equals.
 */
import { EngineError } from '../../core/errors.ts';
import { committerSuffix } from '../../core/ids.ts';
import type { LogicalGraph, LogicalNode } from './logical-graph.ts';

/** Id of the planner of the source with this id. */
export const plannerId = (sourceId: string): string => `${sourceId}-planner`;
/** Id of the committer of the sink with this id. */
export const committerId = (sinkId: string): string => `${sinkId}${committerSuffix}`;

/**
 * The id of each node, by ordinal.
 * @throws EngineError JOB_INVALID when two operators have one id, naming both
 */
export function assignIds(graph: LogicalGraph): string[] {
  const ordinals = new Map<string, number>();
  const ids = graph.nodes.map((node) => {
    const path = derivedPath(node);
    const ordinal = (ordinals.get(path) ?? 0) + 1;
    ordinals.set(path, ordinal);
    return node.uid ?? `${path}-${ordinal}`;
  });
  checkUnique(graph, ids);
  return ids;
}

function derivedPath(node: LogicalNode): string {
  const label = node.name ?? node.defaultName;
  if (label === null) return node.kind;
  const slug = label.replaceAll(/[^A-Za-z0-9._-]+/g, '-').slice(0, 60);
  return `${node.kind}-${slug}`;
}

function checkUnique(graph: LogicalGraph, ids: readonly string[]): void {
  const owners = new Map<string, string>();
  const claim = (id: string, owner: string): void => {
    const other = owners.get(id);
    if (other !== undefined) {
      throw new EngineError(
        'JOB_INVALID',
        `job '${graph.jobName}': ${other} and ${owner} both have the id '${id}'; give one of them another uid`,
        { ids: { operator: id } },
      );
    }
    owners.set(id, owner);
  };
  for (const node of graph.nodes) {
    const id = ids[node.ordinal] as string;
    const owner = describeNode(node);
    claim(id, owner);
    if (node.kind === 'source') claim(plannerId(id), `the planner of ${owner}`);
    if (node.functions.kind === 'sink-writer' && node.functions.sink.createCommitter !== null)
      claim(committerId(id), `the committer of ${owner}`);
  }
}

/** An operator in words, for messages: `map 'clean' (operator 3)`. */
export function describeNode(node: LogicalNode): string {
  const label = node.name ?? node.defaultName;
  return `${node.kind}${label === null ? '' : ` '${label}'`} (operator ${node.ordinal + 1} of the definition)`;
}
