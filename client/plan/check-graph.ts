/**
 * What must hold of a definition before it is planned, and what is worth a warning. Every refusal names the operator and
 * the remedy.
 */
import { EngineError } from '../../core/errors.ts';
import { checkChangelogs } from './changelog-modes.ts';
import { engineOutputsOf } from './engine-outputs.ts';
import type { LogicalGraph, LogicalNode } from './logical-graph.ts';
import { describeNode } from './operator-ids.ts';

/** @throws EngineError JOB_INVALID for the first thing that cannot run */
export function checkGraph(
  graph: LogicalGraph,
  ids: readonly string[],
  parallelism: readonly number[],
  maxParallelism: number,
): void {
  const invalid = (node: LogicalNode, why: string): never => {
    const id = ids[node.ordinal] as string;
    throw new EngineError('JOB_INVALID', `job '${graph.jobName}': operator '${id}' ${why}`, { ids: { operator: id } });
  };
  if (!graph.nodes.some((node) => node.kind === 'source')) {
    throw new EngineError('JOB_INVALID', `job '${graph.jobName}' has no source; start with env.from(...)`);
  }
  if (!graph.nodes.some((node) => node.kind === 'sink')) {
    throw new EngineError(
      'JOB_INVALID',
      `job '${graph.jobName}' has no sink, so its results would go nowhere; end a stream with .to(...), .collect(name) or .print()`,
    );
  }
  const readers = countReaders(graph, (input) => input.tag === null);
  for (const node of graph.nodes) {
    const count = parallelism[node.ordinal] as number;
    if (count > maxParallelism)
      invalid(
        node,
        `has parallelism ${count}, more than maxParallelism ${maxParallelism}; lower it, or raise maxParallelism before the job has state`,
      );
    checkTags(node, ids, invalid);
    if (node.kind === 'timestamps') checkTimestamps(node, ids, parallelism, readers, invalid);
    if (node.kind === 'broadcast-input') checkSideInput(node, invalid);
  }
  checkChangelogs(graph, ids, parallelism, invalid);
}

type Invalid = (node: LogicalNode, why: string) => never;

/** Operators whose functions send to side outputs of their choice. */
const processKinds: ReadonlySet<string> = new Set([
  'process',
  'co-process',
  'plain-process',
  'plain-co-process',
  'broadcast-process',
  'plain-broadcast-process',
]);

/** A side output must be one its operator can send to, and the error output of a window must not be its late output. */
function checkTags(node: LogicalNode, ids: readonly string[], invalid: Invalid): void {
  for (const { node: from, tag } of node.inputs) {
    if (tag === null || processKinds.has(from.kind)) continue;
    // A window function sends to tags of its own.
    if (from.functions.kind === 'window' && from.functions.windowFunction !== null) continue;
    if (engineOutputsOf(from).some((output) => output.tag === tag)) continue;
    invalid(
      node,
      `reads side output '${tag}' of '${ids[from.ordinal]}', which never sends to it; send from process(...) or set .onError(sideOutput(tag))`,
    );
  }
}

/**
 * Timestamps belong where a split is still in one piece: between a source and this operator only record-by-record
 * operators in one chain, and no second reader, whose records would otherwise have no event time. Side outputs of those operators,
 * records that a function failed on, may be read: they have no event time, and say so.
 */
function checkTimestamps(
  node: LogicalNode,
  ids: readonly string[],
  parallelism: readonly number[],
  readers: readonly number[],
  invalid: Invalid,
): void {
  let current = node;
  while (current.kind !== 'source') {
    const [input] = current.inputs;
    if (input === undefined || current.inputs.length > 1)
      return invalid(node, 'gives timestamps after a union or side input; call withTimestamps on each stream before');
    const from = input.node;
    const fromId = ids[from.ordinal] as string;
    if (input.partitioner !== 'auto' && input.partitioner !== 'forward')
      return invalid(
        node,
        `gives timestamps after an exchange ('${input.partitioner}' after '${fromId}'); call withTimestamps before it`,
      );
    if (input.tag !== null)
      return invalid(
        node,
        `gives timestamps to side output '${input.tag}' of '${fromId}'; call withTimestamps on the main stream before it`,
      );
    if (from.kind === 'timestamps')
      return invalid(node, `gives timestamps a second time, after '${fromId}'; keep one withTimestamps`);
    if (from.kind !== 'source' && from.kind !== 'map' && from.kind !== 'filter' && from.kind !== 'flat-map') {
      return invalid(
        node,
        `gives timestamps after '${fromId}' (${from.kind}); call withTimestamps before the first exchange or stateful operator`,
      );
    }
    if (parallelism[from.ordinal] !== parallelism[current.ordinal]) {
      return invalid(
        node,
        `gives timestamps after an exchange: '${fromId}' has parallelism ${parallelism[from.ordinal]}, '${ids[current.ordinal]}' ${parallelism[current.ordinal]}; use the same, or call withTimestamps before`,
      );
    }
    if ((readers[from.ordinal] as number) > 1) {
      return invalid(
        node,
        `gives timestamps to one of several readers of '${fromId}'; call withTimestamps first and let the others read its result`,
      );
    }
    current = from;
  }
}

function checkSideInput(node: LogicalNode, invalid: Invalid): void {
  const main = sourcesOf(node.inputs.filter((input) => input.input === 0).map((input) => input.node));
  const sideNodes = node.inputs.filter((input) => input.input === 1).map((input) => input.node);
  const side = sourcesOf(sideNodes);
  // The main stream waits for the end of the side: a side that waited for a source of the main stream would wait for ever.
  for (const { functions } of upstreamOf(sideNodes)) {
    if (functions.kind === 'timestamps' && functions.alignment !== null)
      invalid(
        node,
        `has a source of alignment group '${functions.alignment.group}' in its side; the side is read to its end first and must wait for nobody: remove alignment there`,
      );
  }
  for (const source of side) {
    if (main.has(source))
      invalid(
        node,
        `has ${describeNode(source)} both in its main stream and in its side; the side is read to its end first, so read it by a source of its own`,
      );
    if (source.config.boundedness === 'unbounded') {
      invalid(
        node,
        `has the unbounded ${describeNode(source)} as its side, which never ends; use a bounded source for the side`,
      );
    }
  }
}

/** The sources that feed these nodes. */
function sourcesOf(nodes: readonly LogicalNode[]): Set<LogicalNode> {
  return new Set([...upstreamOf(nodes)].filter((node) => node.kind === 'source'));
}

/** These nodes and all that feeds them. */
function upstreamOf(nodes: readonly LogicalNode[]): Set<LogicalNode> {
  const seen = new Set<LogicalNode>(nodes);
  for (const node of seen) for (const input of node.inputs) seen.add(input.node);
  return seen;
}

function countReaders(graph: LogicalGraph, counts: (input: LogicalNode['inputs'][number]) => boolean): number[] {
  const readers = graph.nodes.map(() => 0);
  for (const input of graph.nodes.flatMap((node) => node.inputs)) {
    if (counts(input)) readers[input.node.ordinal] = (readers[input.node.ordinal] as number) + 1;
  }
  return readers;
}

const statelessKinds: ReadonlySet<string> = new Set([
  'map',
  'filter',
  'flat-map',
  'co-flat-map',
  'to-changelog',
  'changes',
]);
/** These keep what they declare and nothing else. */
const declaredStateKinds: ReadonlySet<string> = new Set(['plain-process', 'plain-co-process']);

/** True when a checkpoint restores something of an operator made of this node. */
export function isStateful(node: LogicalNode): boolean {
  if (declaredStateKinds.has(node.kind)) return Object.keys(node.config['states'] ?? {}).length > 0;
  return !statelessKinds.has(node.kind);
}

const windowKinds: ReadonlySet<string> = new Set(['window-aggregate', 'window', 'window-co-group']);

/** True for operators that put records into windows, and so have late records. */
export function isWindow(node: LogicalNode): boolean {
  return windowKinds.has(node.kind);
}

/** True when records need an event time to get into a window. */
function needsEventTime(node: LogicalNode): boolean {
  if (!isWindow(node)) return false;
  const { kind, time } = (node.config['window'] ?? {}) as { kind?: unknown; time?: unknown };
  return kind !== 'global' && kind !== 'count' && time !== 'processing';
}

/** What runs but is probably not meant so. */
export function graphWarnings(graph: LogicalGraph, ids: readonly string[]): string[] {
  const warnings: string[] = [];
  const readers = countReaders(graph, () => true);
  const idOf = (node: LogicalNode): string => `'${ids[node.ordinal]}'`;
  const unused = graph.nodes.filter((node) => node.kind !== 'sink' && readers[node.ordinal] === 0);
  for (const node of unused)
    warnings.push(
      `nobody reads the output of ${idOf(node)}: it runs and its results are dropped; end it with .to(...) or remove it`,
    );
  const derived = graph.nodes.filter((node) => node.uid === null && isStateful(node));
  if (derived.length > 0) {
    warnings.push(
      `state depends on derived ids, which may change with the definition: ${derived.map(idOf).join(', ')}; give each a .uid('...') (a source: env.from(source, { uid })) before relying on restarts with a changed job`,
    );
  }
  for (const node of graph.nodes) {
    for (const { tag, records } of engineOutputsOf(node)) {
      if (records === null || isRead(graph, node, tag)) continue;
      warnings.push(
        `${records} ${idOf(node)} go to side output '${tag}', which nobody reads: they are dropped; read it with .sideOutput(tag)`,
      );
    }
    const silent = silentInGroup(node);
    if (silent !== null)
      warnings.push(
        `${idOf(node)} is in alignment group '${silent}' without idleTimeout: while one of its splits has no records, all sources of the group wait; set idleTimeout`,
      );
    if (growsForEver(node))
      warnings.push(
        `join ${idOf(node)} keeps every row of both sides for ever, and a source before it has no end: its state only grows; set ttl, or use intervalJoin or windowJoin`,
      );
    if (!needsEventTime(node)) continue;
    const untimed = [...untimedSources(node)];
    if (untimed.length > 0)
      warnings.push(
        `window ${idOf(node)} reads ${untimed.map(idOf).join(', ')} without withTimestamps: unless the source gives event times itself, its records cannot be placed in windows`,
      );
  }
  return warnings;
}

function isRead(graph: LogicalGraph, from: LogicalNode, tag: string): boolean {
  return graph.nodes.some((node) => node.inputs.some((input) => input.node === from && input.tag === tag));
}

/** Sources that reach the node on a way without timestamps. */
function untimedSources(node: LogicalNode): Set<LogicalNode> {
  const seen = new Set<LogicalNode>([node]);
  for (const current of seen) {
    if (current.kind === 'timestamps') continue;
    for (const input of current.inputs)
      if (input.input === 0 || current.kind !== 'broadcast-input') seen.add(input.node);
  }
  return new Set([...seen].filter((current) => current.kind === 'source'));
}

/** A regular join without a time to live that an unbounded source feeds. */
function growsForEver(node: LogicalNode): boolean {
  if (node.kind !== 'join' || node.config['ttlMs'] !== null) return false;
  return [...sourcesOf([node])].some((source) => source.config['boundedness'] === 'unbounded');
}

/** The alignment group in which an unbounded source of this node may make everybody wait for ever, or null. */
function silentInGroup(node: LogicalNode): string | null {
  if (node.functions.kind !== 'timestamps' || node.functions.alignment === null) return null;
  if (node.config['idleTimeoutMs'] !== null) return null;
  const unbounded = [...sourcesOf([node])].some((source) => source.config['boundedness'] === 'unbounded');
  return unbounded ? node.functions.alignment.group : null;
}
