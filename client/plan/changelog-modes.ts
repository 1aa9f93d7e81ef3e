/**
 * Which streams are changelogs, known from the definition alone, and what cannot be done with one. Every refusal names the
 * operator and the remedy. The table is that of docs/guide/changelog.md.
 */
import { type ChangelogMode, mergedMode } from '../../core/changelog.ts';
import type { LogicalGraph, LogicalInput, LogicalNode, LogicalNodeOptions, StreamEnd } from './logical-graph.ts';

/** What flows over one output of a node: side outputs are records of their own. */
export function modeOfEnd(end: Pick<StreamEnd, 'node' | 'tag'>): ChangelogMode {
  return end.tag === null ? end.node.changelog : 'append';
}

/** What flows into one input of a node. */
export function modeOfInputs(inputs: readonly LogicalInput[], input: number = 0): ChangelogMode {
  return mergedMode(inputs.filter((one) => one.input === input).map(modeOfEnd));
}

/** What the main output of a node is. */
export function outputMode({ kind, inputs, config }: LogicalNodeOptions): ChangelogMode {
  const input = modeOfInputs(inputs);
  switch (kind) {
    case 'map':
    case 'filter':
    case 'flat-map':
    case 'broadcast-input':
    case 'timestamps':
      return input;
    case 'to-changelog':
      return config['mode'] === 'upsert' ? 'upsert' : 'retract';
    case 'upserts':
      return 'retract';
    case 'top-n':
    case 'updating-aggregate':
      return config['emitBefore'] === false ? 'upsert' : 'retract';
    case 'dedup':
      if (config['keep'] !== 'last') return 'append';
      return config['emitBefore'] === false ? 'upsert' : 'retract';
    case 'join':
      return config['type'] === 'inner' && input === 'append' && modeOfInputs(inputs, 1) === 'append'
        ? 'append'
        : 'retract';
    default:
      return 'append';
  }
}

type Invalid = (node: LogicalNode, why: string) => never;

/** Changes of one row keep their order only on one way: these would tear them apart. */
const takesChanges: Readonly<Record<string, readonly ChangelogMode[]>> = {
  timestamps: ['append', 'upsert', 'retract'],
  map: ['append', 'upsert', 'retract'],
  filter: ['append', 'upsert', 'retract'],
  'flat-map': ['append', 'retract'],
  'broadcast-input': ['append', 'retract'],
  changes: ['append', 'upsert', 'retract'],
  process: ['append', 'upsert', 'retract'],
  'co-process': ['append', 'upsert', 'retract'],
  upserts: ['append', 'upsert', 'retract'],
  'updating-aggregate': ['append', 'retract'],
  'top-n': ['append', 'retract'],
  join: ['append', 'retract'],
};

/** @throws EngineError JOB_INVALID (by `invalid`) when an operator is given changes it cannot handle */
export function checkChangelogs(
  graph: LogicalGraph,
  ids: readonly string[],
  parallelism: readonly number[],
  invalid: Invalid,
): void {
  for (const node of graph.nodes) {
    for (const input of [0, 1]) checkInput(node, input, ids, invalid);
    for (const input of node.inputs) checkWay(node, input, ids, parallelism, invalid);
    if (node.kind === 'updating-aggregate') checkAggregates(node, invalid);
  }
}

function checkInput(node: LogicalNode, input: number, ids: readonly string[], invalid: Invalid): void {
  const ends = node.inputs.filter((one) => one.input === input);
  const mode = modeOfInputs(node.inputs, input);
  const changing = ends.find((end) => modeOfEnd(end) !== 'append');
  if (changing === undefined) return;
  const from = `'${ids[changing.node.ordinal]}'`;
  if (new Set(ends.map(modeOfEnd).filter((one) => one !== 'append')).size > 1) {
    return invalid(
      node,
      'reads a union of a stream with complete updates and one of upserts; give the upserts .fromUpserts(keyOf) first',
    );
  }
  if (node.functions.kind === 'sink-writer') return checkSink(node, mode, from, invalid);
  if (node.kind === 'broadcast-input' && input === 1) {
    return invalid(
      node,
      `has the updating stream ${from} as its side, which takes records only; use join, or .changes() to read the changes as records`,
    );
  }
  if (takesChanges[node.kind]?.includes(mode) === true) return;
  if (mode === 'upsert' && takesChanges[node.kind]?.includes('retract') === true) {
    return invalid(
      node,
      `(${node.kind}) reads the upserts of ${from}, which do not tell the rows they replace; put .fromUpserts(keyOf) before it${
        changing.node.kind === 'updating-aggregate' || changing.node.kind === 'top-n'
          ? `, or leave emitBefore away at ${from}`
          : ''
      }`,
    );
  }
  invalid(
    node,
    `(${node.kind}) reads the updating stream ${from}, but takes new records only: a row that changes would count twice; ${remedyOf(node)}`,
  );
}

function remedyOf(node: LogicalNode): string {
  if (node.kind === 'aggregate') return 'use aggregate(set, { updating: true })';
  if (node.kind === 'reduce') return 'use aggregate(set, { updating: true }) or process, which sees context.rowKind';
  if (node.kind === 'dedup') return 'use topN(1, ...) instead';
  return 'use an updating aggregate instead, or .changes() before it to take the changes as records';
}

function checkSink(node: LogicalNode, mode: ChangelogMode, from: string, invalid: Invalid): void {
  if (node.functions.kind !== 'sink-writer') return;
  const { sink } = node.functions;
  const accepts = sink.accepts ?? 'append';
  if (accepts !== 'append') return;
  const remedy =
    sink.kind === 'collect'
      ? 'collect(name, { key }) keeps the current table, .changes().collect(name) gives every change'
      : 'use a sink that takes changes (files.jsonl(directory, { changes: true }), collect(name, { key }), print()), or .changes() before it';
  invalid(node, `(sink '${sink.kind}') takes new records only, but ${from} is an updating stream (${mode}); ${remedy}`);
}

/** All changes that leave a subtask for a row go the same way. `forward` is refused elsewhere where the parallelism differs. */
const oneWay: ReadonlySet<LogicalInput['partitioner']> = new Set(['hash', 'broadcast', 'global', 'forward']);

/** Changes of one row keep their order on one way only. */
function checkWay(
  node: LogicalNode,
  end: LogicalInput,
  ids: readonly string[],
  parallelism: readonly number[],
  invalid: Invalid,
): void {
  if (modeOfEnd(end) === 'append' || oneWay.has(end.partitioner)) return;
  const from = parallelism[end.node.ordinal] as number;
  const to = parallelism[node.ordinal] as number;
  if (to === 1 || (end.partitioner === 'auto' && from === to)) return;
  const why =
    end.partitioner === 'auto'
      ? `'${ids[end.node.ordinal]}' has parallelism ${from}, it has ${to}`
      : `a ${end.partitioner} partitioner`;
  invalid(
    node,
    `reads the updating stream '${ids[end.node.ordinal]}' over ways that overtake each other (${why}), so that changes of one row would lose their order; use the same parallelism, or 1`,
  );
}

/** Over records that are taken back, every aggregate must be able to forget. */
function checkAggregates(node: LogicalNode, invalid: Invalid): void {
  if (node.functions.kind !== 'updating-aggregate' || modeOfInputs(node.inputs) === 'append') return;
  for (const [name, aggregate] of Object.entries(node.functions.aggregates)) {
    if (aggregate.kind !== 'object' || 'retract' in aggregate) continue;
    invalid(
      node,
      `aggregates a stream whose rows change, but its aggregate '${name}' (${String(aggregate.options['aggregate'])}) cannot take a record back; use count, sum, avg, min, max or countDistinct, or an aggregateOf with a function 'retract'`,
    );
  }
}
