/**
 * A new leader finds attempts running that its predecessor had deployed, one for each region. Pure.
 *
 * Which attempts are the job's is said by the newest of them: each is deployed with the numbers of all attempts that are
 * current then, and no number is given out twice. So nothing is taken over before the newest attempt number was reported: an
 * older attempt, of a task manager that slept, may look complete.
 *
 * The job goes on without a restart when nothing of these attempts is missing: every subtask is reported as running or
 * finished, for the stored graph. What a task manager no longer knows counts as there only where the newest checkpoint says
 * that it had ended; a committer never, since nothing durable says that the last commit was made (rule 3).
 *
 *   collecting reports ─▶ all there ─▶ each task manager acknowledges the new epoch ─▶ adopted
 *          └────────────────┴───────────────────┴─▶ not adoptable: what runs is ended, new attempts follow
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
import { slicesOf, subtaskKey } from './slot-assignment.ts';

/** What one task manager runs of one attempt. */
interface ReportedAttempt {
  readonly taskManagerId: string;
  readonly report: RunningAttempt;
  readonly subtasks: Map<string, ReportedSubtask>;
  readonly endedSlots: Set<number>;
}

/** A task manager and an attempt it runs. */
export interface AttemptHolder {
  readonly taskManagerId: string;
  readonly attempt: number;
}

export class Adoption {
  readonly #newestAttempt: number;
  readonly #graph: JobGraph;
  readonly #graphSha256: string;
  readonly #reports = new Map<string, ReportedAttempt>();
  /** Attempts of the job, as the newest one knows; null until it was reported. */
  #current: ReadonlySet<number> | null = null;
  /** Subtasks that had ended before the newest checkpoint, and may be gone. */
  readonly #ended: ReadonlySet<string>;
  /** Who has not acknowledged the new epoch; null while reports are collected. */
  #unacknowledged: Set<string> | null = null;

  /**
   * @param newestAttempt the newest attempt number that was given out
   * @param graphSha256 of the graph object that the job is to run
   */
  constructor(newestAttempt: number, graph: JobGraph, graphSha256: string, newest: Manifest | null) {
    this.#newestAttempt = newestAttempt;
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
    const { attempt } = report.attempt;
    if (attempt > this.#newestAttempt)
      return `task manager ${taskManagerId} runs attempt ${attempt}, the newest is ${this.#newestAttempt}`;
    // Also what cannot go on is part of the job: it has to be ended.
    const subtasks = new Map(report.subtasks.map((one) => [subtaskKey(one.subtask), { ...one }]));
    const endedSlots = new Set(report.endedSlots);
    this.#reports.set(holderKey({ taskManagerId, attempt }), { taskManagerId, report, subtasks, endedSlots });
    if (attempt === this.#newestAttempt) this.#current = new Set([attempt, ...report.currentAttempts]);
    for (const one of this.#currentReports) {
      const problem = this.#problemOf(one);
      if (problem !== null) return problem;
    }
    return null;
  }

  #problemOf({ taskManagerId, report, subtasks }: ReportedAttempt): string | null {
    // Another parallelism is another graph, even where all subtasks of this one are there.
    if (report.graphSha256 !== this.#graphSha256) return `task manager ${taskManagerId} runs another graph`;
    for (const { subtask, state } of subtasks.values()) {
      if (!this.#isOfGraph(subtask)) return `subtask ${subtaskKey(subtask)} is not part of the graph any more`;
      if (state !== 'running' && state !== 'finished') return `subtask ${subtaskKey(subtask)} is ${state}`;
    }
    return null;
  }

  get #currentReports(): ReportedAttempt[] {
    const current = this.#current;
    if (current === null) return [];
    return [...this.#reports.values()].filter(({ report }) => current.has(report.attempt.attempt));
  }

  #isOfGraph({ vertexId, subtaskIndex }: SubtaskRef): boolean {
    const vertex = this.#graph.vertices.find((one) => one.id === vertexId);
    return vertex !== undefined && subtaskIndex < vertex.parallelism;
  }

  /** What is heard while reports are collected. Returns why the job can no longer be adopted, or null. */
  subtaskState(report: SubtaskStateReport): string | null {
    const reported = this.#find(report);
    const known = reported?.subtasks.get(subtaskKey(report.subtask));
    if (known !== undefined) {
      known.inputEnded ||= report.inputEnded;
      if (report.state === 'finished' || report.state === 'failed') known.state = report.state;
    }
    if (report.state !== 'failed' || this.#isSuperseded(report.attempt.attempt)) return null;
    return `subtask ${subtaskKey(report.subtask)} failed: ${report.error?.message ?? ''}`;
  }

  slotEnded(report: SlotEndedReport): string | null {
    const known = this.#find(report);
    if (known === undefined) return null;
    known.endedSlots.add(report.slotIndex);
    const slice = known.report.slices.find((one) => one.slotIndex === report.slotIndex);
    const finished = slice?.subtasks.every((subtask) => known.subtasks.get(subtaskKey(subtask))?.state === 'finished');
    if (finished === true || this.#isSuperseded(report.attempt.attempt)) return null;
    return `slot ${report.slotIndex} on task manager ${report.taskManagerId} has ended`;
  }

  taskManagerLost(taskManagerId: string): string | null {
    const lost = [...this.#reports].filter(([, reported]) => reported.taskManagerId === taskManagerId);
    for (const [key] of lost) this.#reports.delete(key);
    const attempts = lost.map(([, { report }]) => report.attempt.attempt);
    return attempts.every((attempt) => this.#isSuperseded(attempt)) ? null : `task manager ${taskManagerId} is lost`;
  }

  /** True for an attempt that another one has taken the place of. */
  #isSuperseded(attempt: number): boolean {
    return this.#current !== null && !this.#current.has(attempt);
  }

  #find({ taskManagerId, attempt }: SubtaskStateReport | SlotEndedReport): ReportedAttempt | undefined {
    return this.#reports.get(holderKey({ taskManagerId, attempt: attempt.attempt }));
  }

  /** True as soon as every subtask is accounted for; said once. */
  becameComplete(): boolean {
    if (this.#unacknowledged !== null || this.#current === null || this.missing.length > 0) return false;
    this.#unacknowledged = new Set(this.holders.map(holderKey));
    return true;
  }

  /** A task manager follows the new epoch in this attempt. True when all do. */
  acknowledged(holder: AttemptHolder): boolean {
    this.#unacknowledged?.delete(holderKey(holder));
    return this.#unacknowledged?.size === 0;
  }

  /** Who runs what of the job, sorted. */
  get holders(): AttemptHolder[] {
    return holdersOf(this.#currentReports);
  }

  /** Who runs attempts that others have taken the place of, sorted. */
  get superseded(): AttemptHolder[] {
    const reports = [...this.#reports.values()];
    return holdersOf(reports.filter(({ report }) => this.#isSuperseded(report.attempt.attempt)));
  }

  /** True when the newest attempt was heard of, and so which ones are to be adopted. */
  get knowsAttempts(): boolean {
    return this.#current !== null;
  }

  /** Subtasks that nobody has told of. */
  get missing(): SubtaskRef[] {
    const there = new Set(this.#ended);
    for (const { subtasks } of this.#currentReports) for (const key of subtasks.keys()) there.add(key);
    return slicesOf(this.#graph, new Set())
      .flatMap((slice) => slice.subtasks)
      .filter((subtask) => !there.has(subtaskKey(subtask)));
  }

  /** Checkpoints of the earlier leader that are neither complete nor aborted as far as somebody knows, sorted. */
  get pendingCheckpointIds(): number[] {
    const ids = this.#currentReports.flatMap(({ report }) => report.pendingCheckpointIds);
    return [...new Set(ids)].sort((a, b) => a - b);
  }

  /** Subtasks that had ended before and are no longer there. */
  get gone(): SubtaskRef[] {
    const there = new Set(this.#currentReports.flatMap(({ subtasks }) => [...subtasks.keys()]));
    return slicesOf(this.#graph, new Set())
      .flatMap((slice) => slice.subtasks)
      .filter((subtask) => !there.has(subtaskKey(subtask)));
  }

  /** The attempts to go on with, as they were told. */
  executions(): AttemptExecution[] {
    return this.#executionsOf(this.#currentReports);
  }

  /** Every attempt that was told of, to be ended. */
  everything(): AttemptExecution[] {
    return this.#executionsOf([...this.#reports.values()]);
  }

  #executionsOf(reports: readonly ReportedAttempt[]): AttemptExecution[] {
    const regions = new Map(slicesOf(this.#graph, new Set()).map(({ slotIndex, region }) => [slotIndex, region]));
    const attempts = [...new Set(reports.map(({ report }) => report.attempt.attempt))].sort((a, b) => a - b);
    return attempts.map((attempt) => {
      const own = reports.filter(({ report }) => report.attempt.attempt === attempt);
      const placed = own.flatMap(({ taskManagerId, report }) => {
        return report.slices.map((slice) => ({ ...slice, taskManagerId, region: regions.get(slice.slotIndex) ?? 0 }));
      });
      return AttemptExecution.adopted(
        attempt,
        placed[0]?.region ?? 0,
        placed,
        own.flatMap(({ subtasks }) => [...subtasks.values()]),
        own.flatMap(({ endedSlots }) => [...endedSlots]),
      );
    });
  }
}

/** Of a holder, as a map key. */
export function holderKey({ taskManagerId, attempt }: AttemptHolder): string {
  return `${attempt} ${taskManagerId}`;
}

function holdersOf(reports: readonly ReportedAttempt[]): AttemptHolder[] {
  return reports
    .map(({ taskManagerId, report }) => ({ taskManagerId, attempt: report.attempt.attempt }))
    .sort((a, b) => (holderKey(a) < holderKey(b) ? -1 : 1));
}
