/** What a restored checkpoint means for the next attempt. Pure. */
import { EngineError } from '../../core/errors.ts';
import type { JobGraph } from '../../core/graph/job-graph.ts';
import type { Manifest, SubtaskRef } from '../../proto/messages.ts';
import { subtaskKey } from './slot-assignment.ts';

/**
 * Vertices that are not started again: every subtask had finished, and so had everything upstream. Committers always start,
 * because nothing durable says that the last commit was made (rule 3: it is driven again from the pointer).
 *
 * A job that resumes with another parallelism may have other vertices under the same names, so then everything starts with
 * its rows and ends again.
 */
export function finishedVertices(graph: JobGraph, manifest: Manifest | null): Set<string> {
  const finished = new Set<string>();
  if (manifest === null || !sameVertices(graph, manifest)) return finished;
  const marks = new Set(manifest.finished.map(subtaskKey));
  for (const vertex of graph.vertices) {
    const upstream = graph.edges.filter((edge) => edge.targetVertex === vertex.id).map((edge) => edge.sourceVertex);
    const committer = vertex.operators.some((operator) => operator.kind === 'sink-committer');
    if (committer || !upstream.every((id) => finished.has(id))) continue;
    if (subtasksOf(vertex).every((subtask) => marks.has(subtaskKey(subtask)))) finished.add(vertex.id);
  }
  return finished;
}

/** Subtasks of vertices that are not started again. */
export function finishedSubtasks(graph: JobGraph, vertices: ReadonlySet<string>): SubtaskRef[] {
  return graph.vertices.filter((vertex) => vertices.has(vertex.id)).flatMap(subtasksOf);
}

function subtasksOf(vertex: { readonly id: string; readonly parallelism: number }): SubtaskRef[] {
  return Array.from({ length: vertex.parallelism }, (_, subtaskIndex) => ({ vertexId: vertex.id, subtaskIndex }));
}

function sameVertices(graph: JobGraph, manifest: Manifest): boolean {
  const before = manifest.vertexParallelism;
  if (Object.keys(before).length !== graph.vertices.length) return false;
  return graph.vertices.every((vertex) => before[vertex.id] === vertex.parallelism);
}

/**
 * Why a checkpoint cannot be restored by this job; null when it can.
 * @param graphHashes of this job's graph, and of earlier graphs whose state was found to mean the same to it
 */
export function restoreProblem(
  graph: JobGraph,
  graphHashes: readonly string[],
  manifest: Manifest,
): EngineError | null {
  const ids = { jobName: graph.name, checkpointId: manifest.checkpointId };
  if (manifest.jobName !== graph.name) {
    const message = `checkpoint ${manifest.checkpointId} belongs to job "${manifest.jobName}", not to "${graph.name}"; give each job its own state directory`;
    return new EngineError('GRAPH_CHANGED', message, { ids });
  }
  if (!graphHashes.includes(manifest.graphHash)) {
    const message = `checkpoint ${manifest.checkpointId} of job "${graph.name}" was taken by another job graph (${manifest.graphHash.slice(0, 12)}, now ${graphHashes[0]?.slice(0, 12)}); undo the change or start afresh`;
    return new EngineError('GRAPH_CHANGED', message, { ids });
  }
  if (manifest.maxParallelism !== graph.options.maxParallelism) {
    const message = `maxParallelism of job "${graph.name}" is ${graph.options.maxParallelism}, but its state was made with ${manifest.maxParallelism}, which cannot change; set it back`;
    return new EngineError('GRAPH_CHANGED', message, { ids });
  }
  return null;
}
