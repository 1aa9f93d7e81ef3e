/**
 * Channels of a slot: by reference between subtasks of the slot, over the data plane to others. Channel ids are derived
 * from the graph alone, so both ends compute the same without asking.
 */
import type { JobGraph } from '../../core/graph/job-graph.ts';
import { rescaleSources, rescaleTargets } from '../../core/graph/rescale-share.ts';
import type { ChannelReader, ChannelWriter } from '../exchange/channel.ts';
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
  return graph.vertices.find((vertex) => vertex.id === vertexId)?.parallelism ?? 0;
}

/** Unique number of a channel within the job. */
export function channelId(graph: JobGraph, path: ChannelPath): number {
  let base = 0;
  for (let edge = 0; edge < path.edge; edge++) {
    const { sourceVertex, targetVertex } = graph.edges[edge];
    base += parallelismOf(graph, sourceVertex) * parallelismOf(graph, targetVertex);
  }
  const targets = parallelismOf(graph, graph.edges[path.edge].targetVertex);
  return base + path.sourceSubtask * targets + path.targetSubtask;
}

/** Same-slot channels, made by whichever end asks first; the ends name whom to wake. */
export class LocalChannels {
  readonly #channels = new Map<number, { channel: LocalChannel; onReadable: () => void; onWritable: () => void }>();

  writer(id: number, onWritable: () => void): ChannelWriter {
    const entry = this.#entry(id);
    entry.onWritable = onWritable;
    return entry.channel;
  }

  reader(id: number, onReadable: () => void): ChannelReader {
    const entry = this.#entry(id);
    entry.onReadable = onReadable;
    return entry.channel;
  }

  #entry(id: number) {
    const known = this.#channels.get(id);
    if (known !== undefined) return known;
    const entry = {
      channel: new LocalChannel({ onReadable: () => entry.onReadable(), onWritable: () => entry.onWritable() }),
      onReadable: () => {},
      onWritable: () => {},
    };
    this.#channels.set(id, entry);
    return entry;
  }
}
