/**
 * A new leader finds an attempt running that its predecessor had deployed. Pure.
 *
 * It goes on without a restart when nothing of it is missing: every subtask is reported as running or finished, in the newest
 * attempt, for the stored graph. What a task manager no longer knows counts as there only where the newest checkpoint says
 * that it had ended; a committer never, since nothing durable says that the last commit was made (rule 3).
 *
 *   collecting reports ─▶ all there ─▶ each task manager acknowledges the new epoch ─▶ adopted
 *          └────────────────┴───────────────────┴─▶ not adoptable: what runs is ended, a new attempt follows
 */
import type { JobGraph } from '../../core/graph/job-graph.ts';
import type {
  Manifest,
  RunningAttempt,
  SlotEndedReport,
  SubtaskRef,
  SubtaskStateReport,
} from '../../proto/messages.ts';
import { AttemptExecution, type ReportedSubtask } from './attempt-execution.ts';
import { type PlacedSlot, slicesOf, subtaskKey } from './slot-assignment.ts';

interface ReportedTaskManager {
  readonly report: RunningAttempt;
  readonly subtasks: Map<string, ReportedSubtask>;
  readonly endedSlots: Set<number>;
}

export class Adoption {
  readonly attempt: number;
  readonly #graph: JobGraph;
  readonly #graphSha256: string;
  readonly #reports = new Map<string, ReportedTaskManager>();
  /** Subtasks that had ended before the newest checkpoint, and may be gone. */
  readonly #ended: ReadonlySet<string>;
  /** Task managers that have not acknowledged the new epoch; null while reports are collected. */
  #unacknowledged: Set<string> | null = null;

  /**
   * @param attempt the newest attempt number that was given out
   * @param graphSha256 of the graph object that the job is to run
   */
  constructor(attempt: number, graph: JobGraph, graphSha256: string, newest: Manifest | null) {
    this.attempt = attempt;
    this.#graph = graph;
    this.#graphSha256 = graphSha256;
    const committers = new Set(
      graph.vertices.filter((vertex) => vertex.operators.some((one) => one.kind === 'sink-committer')).map((v) => v.id),
    );
    const ended = (newest?.finished ?? []).filter((subtask) => !committers.has(subtask.vertexId));
    this.#ended = new Set(ended.map(subtaskKey));
  }

  /**
   * A task manager tells what it runs of the job. Returns why it cannot be adopted, or null.
   * The same task manager may tell again; the newest word counts.
   */
  reported(taskManagerId: string, report: RunningAttempt): string | null {
    if (report.attempt.attempt !== this.attempt)
      return `task manager ${taskManagerId} runs attempt ${report.attempt.attempt}, the newest is ${this.attempt}`;
    // Also what cannot go on is part of the attempt: it has to be ended.
    const subtasks = new Map(report.subtasks.map((one) => [subtaskKey(one.subtask), { ...one }]));
    this.#reports.set(taskManagerId, { report, subtasks, endedSlots: new Set(report.endedSlots) });
    // Another parallelism is another graph, even where all subtasks of this one are there.
    if (report.graphSha256 !== this.#graphSha256) return `task manager ${taskManagerId} runs another graph`;
    const unknown = report.subtasks.find(({ subtask }) => !this.#isOfGraph(subtask));
    if (unknown !== undefined) return `subtask ${subtaskKey(unknown.subtask)} is not part of the graph any more`;
    for (const { subtask, state } of report.subtasks) {
      if (state !== 'running' && state !== 'finished') return `subtask ${subtaskKey(subtask)} is ${state}`;
    }
    return null;
  }

  #isOfGraph({ vertexId, subtaskIndex }: SubtaskRef): boolean {
    const vertex = this.#graph.vertices.find((one) => one.id === vertexId);
    return vertex !== undefined && subtaskIndex < vertex.parallelism;
  }

  /** What is heard while reports are collected. Returns why the attempt can no longer be adopted, or null. */
  subtaskState(report: SubtaskStateReport): string | null {
    const known = this.#reports.get(report.taskManagerId)?.subtasks.get(subtaskKey(report.subtask));
    if (report.state === 'failed')
      return `subtask ${subtaskKey(report.subtask)} failed: ${report.error?.message ?? ''}`;
    if (known === undefined) return null;
    known.inputEnded ||= report.inputEnded;
    if (report.state === 'finished') known.state = 'finished';
    return null;
  }

  slotEnded(report: SlotEndedReport): string | null {
    const known = this.#reports.get(report.taskManagerId);
    if (known === undefined) return null;
    known.endedSlots.add(report.slotIndex);
    const slice = known.report.slices.find((one) => one.slotIndex === report.slotIndex);
    const finished = slice?.subtasks.every((subtask) => known.subtasks.get(subtaskKey(subtask))?.state === 'finished');
    return finished === true ? null : `slot ${report.slotIndex} on task manager ${report.taskManagerId} has ended`;
  }

  taskManagerLost(taskManagerId: string): string | null {
    return this.#reports.delete(taskManagerId) ? `task manager ${taskManagerId} is lost` : null;
  }

  /** True as soon as every subtask is accounted for; said once. */
  becameComplete(): boolean {
    if (this.#unacknowledged !== null || this.missing.length > 0) return false;
    this.#unacknowledged = new Set(this.#reports.keys());
    return true;
  }

  /** A task manager follows the new epoch. True when all do. */
  acknowledged(taskManagerId: string): boolean {
    this.#unacknowledged?.delete(taskManagerId);
    return this.#unacknowledged?.size === 0;
  }

  get taskManagerIds(): string[] {
    return [...this.#reports.keys()].sort();
  }

  /** Subtasks that nobody has told of. */
  get missing(): SubtaskRef[] {
    const there = new Set(this.#ended);
    for (const { subtasks } of this.#reports.values()) for (const key of subtasks.keys()) there.add(key);
    return slicesOf(this.#graph, new Set())
      .flatMap((slice) => slice.subtasks)
      .filter((subtask) => !there.has(subtaskKey(subtask)));
  }

  /** Checkpoints of the earlier leader that are neither complete nor aborted as far as somebody knows, sorted. */
  get pendingCheckpointIds(): number[] {
    const ids = [...this.#reports.values()].flatMap(({ report }) => report.pendingCheckpointIds);
    return [...new Set(ids)].sort((a, b) => a - b);
  }

  /** Subtasks that had ended before and are no longer there. */
  get gone(): SubtaskRef[] {
    const there = new Set([...this.#reports.values()].flatMap(({ subtasks }) => [...subtasks.keys()]));
    return slicesOf(this.#graph, new Set())
      .flatMap((slice) => slice.subtasks)
      .filter((subtask) => !there.has(subtaskKey(subtask)));
  }

  /** The attempt as it was told; null when nobody has told anything. */
  execution(): AttemptExecution | null {
    if (this.#reports.size === 0) return null;
    const placed: PlacedSlot[] = [];
    const reported: ReportedSubtask[] = [];
    const ended: number[] = [];
    for (const [taskManagerId, { report, subtasks, endedSlots }] of this.#reports) {
      for (const slice of report.slices) placed.push({ ...slice, taskManagerId });
      reported.push(...subtasks.values());
      ended.push(...endedSlots);
    }
    return AttemptExecution.adopted(this.attempt, placed, reported, ended);
  }
}
