/**
 * Channels of a slot: by reference between subtasks of the slot, over the data plane to others. Channel ids are derived
 * from the graph alone, so both ends compute the same without asking.
 */
import type { JobGraph } from '../../core/graph/job-graph.ts';
import { rescaleSources, rescaleTargets } from '../../core/graph/rescale-share.ts';
import type { ChannelReader, ChannelWriter } from '../exchange/channel.ts';
import { defaultExchangeLimits, type ExchangeLimits } from '../exchange/exchange-limits.ts';
import { LocalChannel } from '../exchange/local-channel.ts';

/** Channels to and from other slots. */
export interface RemoteChannels {
  writer(peerSlot: number, channelId: number, operatorName: string, onWritable: () => void): ChannelWriter;
  reader(peerSlot: number, channelId: number, onReadable: () => void): ChannelReader;
}

/** One channel of an edge: from a subtask of the source vertex to one of the target. */
export interface ChannelPath {
  readonly edge: number;
  readonly sourceSubtask: number;
  readonly targetSubtask: number;
}

/** Targets that a subtask of the source of an edge writes to: one for forward, a share for rescale, else all. */
export function targetsOf(graph: JobGraph, edge: number, sourceSubtask: number): readonly number[] {
  const { partitioner, sourceVertex, targetVertex } = graph.edges[edge];
  if (partitioner === 'forward') return [sourceSubtask];
  const targets = parallelismOf(graph, targetVertex);
  if (partitioner === 'rescale') return rescaleTargets(sourceSubtask, parallelismOf(graph, sourceVertex), targets);
  return Array.from({ length: targets }, (_, index) => index);
}

/** Sources that a subtask of the target of an edge reads from. */
export function sourcesOf(graph: JobGraph, edge: number, targetSubtask: number): readonly number[] {
  const { partitioner, sourceVertex, targetVertex } = graph.edges[edge];
  if (partitioner === 'forward') return [targetSubtask];
  const sources = parallelismOf(graph, sourceVertex);
  if (partitioner === 'rescale') return rescaleSources(targetSubtask, sources, parallelismOf(graph, targetVertex));
  return Array.from({ length: sources }, (_, index) => index);
}

export function parallelismOf(graph: JobGraph, vertexId: string): number {
  return numbersOf(graph).parallelism.get(vertexId) ?? 0;
}

interface GraphNumbers {
  readonly parallelism: ReadonlyMap<string, number>;
  /** First channel id of each edge. */
  readonly firstChannels: readonly number[];
}

/** A planned graph does not change, and every channel of every subtask asks. */
const known = new WeakMap<JobGraph, GraphNumbers>();

function numbersOf(graph: JobGraph): GraphNumbers {
  let numbers = known.get(graph);
  if (numbers !== undefined) return numbers;
  const parallelism = new Map(graph.vertices.map((vertex) => [vertex.id, vertex.parallelism]));
  const firstChannels: number[] = [];
  let next = 0;
  for (const { sourceVertex, targetVertex } of graph.edges) {
    firstChannels.push(next);
    next += (parallelism.get(sourceVertex) ?? 0) * (parallelism.get(targetVertex) ?? 0);
  }
  numbers = { parallelism, firstChannels };
  known.set(graph, numbers);
  return numbers;
}

/** Unique number of a channel within the job. */
export function channelId(graph: JobGraph, path: ChannelPath): number {
  const base = numbersOf(graph).firstChannels[path.edge] as number;
  const targets = parallelismOf(graph, graph.edges[path.edge].targetVertex);
  return base + path.sourceSubtask * targets + path.targetSubtask;
}

/**
 * Batches that may wait in a same-slot channel to an asynchronous operator. Few, because a barrier has to pass them all and
 * each record takes as long as a call; records in flight are its queue.
 */
export const asyncBatchesMax = 2;

/** Bounds of the same-slot channels of an edge. */
export function localLimitsOf(graph: JobGraph, edge: number): ExchangeLimits {
  const target = graph.vertices.find((vertex) => vertex.id === graph.edges[edge].targetVertex);
  if (target?.operators[0].kind !== 'async-map') return defaultExchangeLimits;
  return { ...defaultExchangeLimits, localBatchesMax: asyncBatchesMax };
}

/** Same-slot channels, made by whichever end asks first; the ends name whom to wake. */
export class LocalChannels {
  readonly #channels = new Map<number, { channel: LocalChannel; onReadable: () => void; onWritable: () => void }>();

  writer(id: number, onWritable: () => void, limits: ExchangeLimits): ChannelWriter {
    const entry = this.#entry(id, limits);
    entry.onWritable = onWritable;
    return entry.channel;
  }

  reader(id: number, onReadable: () => void, limits: ExchangeLimits): ChannelReader {
    const entry = this.#entry(id, limits);
    entry.onReadable = onReadable;
    return entry.channel;
  }

  #entry(id: number, limits: ExchangeLimits) {
    const known = this.#channels.get(id);
    if (known !== undefined) return known;
    const entry = {
      channel: new LocalChannel({ onReadable: () => entry.onReadable(), onWritable: () => entry.onWritable() }, limits),
      onReadable: () => {},
      onWritable: () => {},
    };
    this.#channels.set(id, entry);
    return entry;
  }
}
