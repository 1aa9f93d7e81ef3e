/** What observers see of a running job, made from heartbeats and the newest manifest. */
import type { JobGraph } from '../core/graph/job-graph.ts';
import type { VertexStatus } from '../proto/client-messages.ts';
import type { Manifest, SubtaskMetrics } from '../proto/messages.ts';
import type { JobState } from './model/job-state.ts';
import { subtaskKey } from './model/slot-assignment.ts';

export interface JobProgress {
  readonly state: JobState;
  readonly attempt: number;
  /** Records sources have handed out, across restarts and resumed runs; what is read again after a restart counts once. */
  readonly recordsIn: number;
  /** Records sinks have taken in the attempts that are current. */
  readonly recordsOut: number;
  readonly lateRecords: number;
  /** Lowest watermark over all subtasks; -Infinity before the first. */
  readonly watermarkMs: number;
  /**
   * The source subtask whose event time is lowest, of those that wait for silent splits; null when there is none: no strategy
   * with watermarks, an idle timeout, or everything has ended.
   */
  readonly timeHeldBy: { readonly operator: string; readonly subtask: number; readonly watermarkMs: number } | null;
  readonly lastCheckpoint: { readonly id: number; readonly completedAtMs: number; readonly bytes: number } | null;
  /** The checkpoint this run went on from; null for a fresh start. */
  readonly restored: { readonly checkpointId: number; readonly sourceRecords: number } | null;
  readonly restarts: number;
  /** Operator counters by name, summed over subtasks. */
  readonly counters: Readonly<Record<string, number>>;
}

/** Source records a manifest covers. */
export function sourceRecordsOf(manifest: Manifest | null): number {
  return (manifest?.subtasks ?? []).reduce((sum, info) => sum + info.sourceRecords, 0);
}

/** Bytes of the files a manifest names. */
export function bytesOf(manifest: Manifest): number {
  return manifest.files.reduce((sum, entry) => sum + entry.file.object.bytes, 0);
}

/** Vertices with timestamps and watermarks but no idle timeout. */
function timeHoldersOf(graph: JobGraph): ReadonlyMap<string, string> {
  const holders = new Map<string, string>();
  for (const { id, operators } of graph.vertices) {
    const source = operators.find((operator) => operator.kind === 'source-reader');
    const config = operators.find((operator) => operator.kind === 'timestamps')?.config;
    if (
      source !== undefined &&
      config !== undefined &&
      config['idleTimeoutMs'] === null &&
      config['watermarks'] !== 'none'
    )
      holders.set(id, source.id);
  }
  return holders;
}

/** Newest metrics of the subtasks of the attempts that are current. */
export class MetricsBoard {
  readonly #graph: JobGraph;
  readonly #sources: ReadonlySet<string>;
  readonly #sinks: ReadonlySet<string>;
  /** Vertices that hold back event time while a split is silent, with the id of their source. */
  readonly #timeHolders: ReadonlyMap<string, string>;
  #attempts: readonly number[] = [];
  /** Attempt that told it, by subtask. */
  readonly #toldBy = new Map<string, number>();
  readonly #metrics = new Map<string, SubtaskMetrics>();

  constructor(graph: JobGraph) {
    const verticesWith = (kind: string): Set<string> =>
      new Set(
        graph.vertices
          .filter((vertex) => vertex.operators.some((operator) => operator.kind === kind))
          .map((vertex) => vertex.id),
      );
    this.#graph = graph;
    this.#sources = verticesWith('source-reader');
    this.#sinks = verticesWith('sink-writer');
    this.#timeHolders = timeHoldersOf(graph);
  }

  /** These attempts are current from now on; what others said is forgotten. */
  attemptsStarted(attempts: readonly number[]): void {
    this.#attempts = attempts;
    for (const [key, attempt] of this.#toldBy) {
      if (attempts.includes(attempt)) continue;
      this.#toldBy.delete(key);
      this.#metrics.delete(key);
    }
  }

  heard(attempt: number, metrics: readonly SubtaskMetrics[]): void {
    if (!this.#attempts.includes(attempt)) return;
    for (const one of metrics) {
      this.#toldBy.set(subtaskKey(one.subtask), attempt);
      this.#metrics.set(subtaskKey(one.subtask), one);
    }
  }

  /** Of each subtask that was heard of. */
  get subtasks(): readonly SubtaskMetrics[] {
    return [...this.#metrics.values()];
  }

  /** Each vertex with sums over its subtasks. */
  vertices(states: ReadonlyMap<string, Readonly<Record<string, number>>>): VertexStatus[] {
    return this.#graph.vertices.map(({ id, name, parallelism }) => {
      const own = [...this.#metrics.values()].filter((metrics) => metrics.subtask.vertexId === id);
      const sum = (of: (metrics: SubtaskMetrics) => number): number => own.reduce((total, one) => total + of(one), 0);
      const busyMs = sum((one) => one.busyMs);
      const backPressuredMs = sum((one) => one.backPressuredMs);
      const totalMs = Math.max(1, busyMs + backPressuredMs + sum((one) => one.idleMs));
      return {
        vertexId: id,
        name,
        parallelism,
        subtaskStates: states.get(id) ?? {},
        recordsIn: sum((one) => one.recordsIn),
        recordsOut: sum((one) => one.recordsOut),
        watermarkMs: own.length === 0 ? Number.NEGATIVE_INFINITY : Math.min(...own.map((one) => one.watermarkMs)),
        busy: busyMs / totalMs,
        backPressured: backPressuredMs / totalMs,
      };
    });
  }

  /** Sums over subtasks. @param newest the newest complete checkpoint, which may know more than the last heartbeat */
  totals(
    newest: Manifest | null,
  ): Pick<JobProgress, 'recordsIn' | 'recordsOut' | 'lateRecords' | 'watermarkMs' | 'timeHeldBy' | 'counters'> {
    let read = 0;
    let recordsOut = 0;
    let lateRecords = 0;
    let watermarkMs = Number.POSITIVE_INFINITY;
    let timeHeldBy: JobProgress['timeHeldBy'] = null;
    const counters: Record<string, number> = {};
    for (const metrics of this.#metrics.values()) {
      const { vertexId } = metrics.subtask;
      if (this.#sources.has(vertexId)) read += metrics.recordsIn;
      if (this.#sinks.has(vertexId)) recordsOut += metrics.recordsOut;
      lateRecords += metrics.lateRecords;
      watermarkMs = Math.min(watermarkMs, metrics.watermarkMs);
      const operator = this.#timeHolders.get(vertexId);
      if (operator !== undefined && metrics.watermarkMs < (timeHeldBy?.watermarkMs ?? Number.POSITIVE_INFINITY))
        timeHeldBy = { operator, subtask: metrics.subtask.subtaskIndex, watermarkMs: metrics.watermarkMs };
      for (const [name, value] of Object.entries(metrics.counters)) counters[name] = (counters[name] ?? 0) + value;
    }
    if (this.#metrics.size === 0) watermarkMs = Number.NEGATIVE_INFINITY;
    const recordsIn = Math.max(read, sourceRecordsOf(newest));
    return { recordsIn, recordsOut, lateRecords, watermarkMs, timeHeldBy, counters };
  }
}
