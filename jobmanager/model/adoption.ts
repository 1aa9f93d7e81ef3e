/**
 * A new leader finds attempts running that its predecessor had deployed, one for each region. Pure.
 *
 * Which attempts are the job's is said by the newest of them: each is deployed with the numbers of all attempts that are
 * current then, and no number is given out twice. So nothing is taken over before the newest attempt number was reported: an
 * older attempt, of a task manager that slept, may look complete.
 *
 * A region goes on without a restart when nothing of its attempt is missing: every subtask is reported as running or
 * finished, for the stored graph. Otherwise it is given up and starts again, while the others go on. What a task manager no longer knows counts as there only where the newest checkpoint says
 * that it had ended; a committer never, since nothing durable says that the last commit was made (rule 3).
 *
 *   collecting reports ─▶ all there ─▶ each task manager acknowledges the new epoch ─▶ adopted, but for given-up regions
 *          └────────────────┴───────────────────┴─▶ no region left: what runs is ended, new attempts follow
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
import { type RegionSlice, slicesOf, subtaskKey } from './slot-assignment.ts';

/** What one task manager runs of one attempt. */
interface ReportedAttempt {
  readonly taskManagerId: string;
  readonly region: number;
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
  readonly #slices: readonly RegionSlice[];
  /** Regions that start again, with the reason. */
  readonly #givenUp = new Map<number, string>();
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
    this.#slices = slicesOf(graph, new Set());
    const committers = new Set(
      graph.vertices.filter((vertex) => vertex.operators.some((one) => one.kind === 'sink-committer')).map((v) => v.id),
    );
    const ended = (newest?.finished ?? []).filter((subtask) => !committers.has(subtask.vertexId));
    this.#ended = new Set(ended.map(subtaskKey));
  }

  /**
   * A task manager tells what it runs of the job. Returns why nothing of it can be adopted, or null.
   * The same task manager may tell again; the newest word counts.
   */
  reported(taskManagerId: string, report: RunningAttempt): string | null {
    const { attempt } = report.attempt;
    if (attempt > this.#newestAttempt)
      return `task manager ${taskManagerId} runs attempt ${attempt}, the newest is ${this.#newestAttempt}`;
    // Also what cannot go on is part of the job: it has to be ended.
    const subtasks = new Map(report.subtasks.map((one) => [subtaskKey(one.subtask), { ...one }]));
    const endedSlots = new Set(report.endedSlots);
    const region = this.#slices.find((slice) => slice.slotIndex === report.slices[0]?.slotIndex)?.region ?? 0;
    const reported = { taskManagerId, region, report, subtasks, endedSlots };
    this.#reports.set(holderKey({ taskManagerId, attempt }), reported);
    if (attempt === this.#newestAttempt) this.#current = new Set([attempt, ...report.currentAttempts]);
    for (const one of this.#currentReports) {
      // Another parallelism is another graph, even where all subtasks of this one are there.
      if (one.report.graphSha256 !== this.#graphSha256) return `task manager ${one.taskManagerId} runs another graph`;
      const problem = this.#problemOf(one);
      if (problem !== null) this.#giveUp(one.region, problem);
    }
    return this.#nothingLeft();
  }

  #problemOf({ subtasks }: ReportedAttempt): string | null {
    for (const { subtask, state } of subtasks.values()) {
      if (!this.#isOfGraph(subtask)) return `subtask ${subtaskKey(subtask)} is not part of the graph any more`;
      if (state !== 'running' && state !== 'finished') return `subtask ${subtaskKey(subtask)} is ${state}`;
    }
    return null;
  }

  #giveUp(region: number, why: string): void {
    if (this.#givenUp.has(region)) return;
    this.#givenUp.set(region, why);
    for (const reported of this.#reports.values()) {
      if (reported.region !== region) continue;
      const { taskManagerId, report } = reported;
      this.#unacknowledged?.delete(holderKey({ taskManagerId, attempt: report.attempt.attempt }));
    }
  }

  /** Why no region can be adopted, once none can. */
  #nothingLeft(): string | null {
    if (!this.#slices.every(({ region }) => this.#givenUp.has(region))) return null;
    return [...this.#givenUp.values()].join('; ');
  }

  /** Something of an attempt is gone. While it is not known which attempts are the job's, it may be of any of them. */
  #lost(attempt: number, region: number, why: string): string | null {
    if (this.#current === null) return why;
    if (!this.#current.has(attempt)) return null;
    this.#giveUp(region, why);
    return this.#nothingLeft();
  }

  /** No more reports are waited for, nor acknowledgements. Returns why nothing can be adopted, or null. */
  deadlinePassed(): string | null {
    if (this.#current === null) return 'it was not heard of';
    for (const { region, attempt } of this.#currentReports.map(holderOf)) {
      if (this.#unacknowledged === null) break;
      const silent = [...this.#unacknowledged].find((key) => key.startsWith(`${attempt} `));
      if (silent !== undefined) this.#giveUp(region, 'not every task manager has answered');
    }
    for (const subtask of this.missing) {
      const slice = this.#slices.find(({ subtasks }) => subtasks.some((one) => isSame(one, subtask)));
      this.#giveUp(slice?.region ?? 0, `subtask ${subtaskKey(subtask)} was not heard of`);
    }
    return this.#nothingLeft();
  }

  get #currentReports(): ReportedAttempt[] {
    const current = this.#current;
    if (current === null) return [];
    return [...this.#reports.values()].filter(({ report }) => current.has(report.attempt.attempt));
  }

  /** Of the regions that are not given up. */
  get #adoptable(): ReportedAttempt[] {
    return this.#currentReports.filter(({ region }) => !this.#givenUp.has(region));
  }

  #isOfGraph({ vertexId, subtaskIndex }: SubtaskRef): boolean {
    const vertex = this.#graph.vertices.find((one) => one.id === vertexId);
    return vertex !== undefined && subtaskIndex < vertex.parallelism;
  }

  /** What is heard while reports are collected. Returns why nothing can be adopted any more, or null. */
  subtaskState(report: SubtaskStateReport): string | null {
    const reported = this.#find(report);
    const known = reported?.subtasks.get(subtaskKey(report.subtask));
    if (known !== undefined) {
      known.inputEnded ||= report.inputEnded;
      if (report.state === 'finished' || report.state === 'failed') known.state = report.state;
    }
    if (report.state !== 'failed') return null;
    const why = `subtask ${subtaskKey(report.subtask)} failed: ${report.error?.message ?? ''}`;
    return this.#lost(report.attempt.attempt, reported?.region ?? 0, why);
  }

  slotEnded(report: SlotEndedReport): string | null {
    const known = this.#find(report);
    if (known === undefined) return null;
    known.endedSlots.add(report.slotIndex);
    const slice = known.report.slices.find((one) => one.slotIndex === report.slotIndex);
    const finished = slice?.subtasks.every((subtask) => known.subtasks.get(subtaskKey(subtask))?.state === 'finished');
    if (finished === true) return null;
    const why = `slot ${report.slotIndex} on task manager ${report.taskManagerId} has ended`;
    return this.#lost(report.attempt.attempt, known.region, why);
  }

  taskManagerLost(taskManagerId: string): string | null {
    const lost = [...this.#reports].filter(([, reported]) => reported.taskManagerId === taskManagerId);
    let problem: string | null = null;
    for (const [key, { region, report }] of lost) {
      problem = this.#lost(report.attempt.attempt, region, `task manager ${taskManagerId} is lost`) ?? problem;
      this.#reports.delete(key);
    }
    return problem;
  }

  /** True for an attempt that another one has taken the place of. */
  #isSuperseded(attempt: number): boolean {
    return this.#current !== null && !this.#current.has(attempt);
  }

  #find({ taskManagerId, attempt }: SubtaskStateReport | SlotEndedReport): ReportedAttempt | undefined {
    return this.#reports.get(holderKey({ taskManagerId, attempt: attempt.attempt }));
  }

  /** True as soon as every subtask of the regions that are left is accounted for; said once. */
  becameComplete(): boolean {
    if (this.#unacknowledged !== null || this.#current === null || this.missing.length > 0) return false;
    this.#unacknowledged = new Set(this.holders.map(holderKey));
    return true;
  }

  /** A task manager follows the new epoch in this attempt, or does not. Returns why nothing can be adopted any more, or null. */
  answered(holder: AttemptHolder, refusal: string | null): string | null {
    const reported = this.#reports.get(holderKey(holder));
    if (refusal === null || reported === undefined) {
      this.#unacknowledged?.delete(holderKey(holder));
      return null;
    }
    return this.#lost(holder.attempt, reported.region, `${holder.taskManagerId} did not take it over: ${refusal}`);
  }

  /** True when everybody follows the new epoch. */
  get isAcknowledged(): boolean {
    return this.#unacknowledged?.size === 0;
  }

  /** Who runs what of the regions that go on, sorted. */
  get holders(): AttemptHolder[] {
    return holdersOf(this.#adoptable);
  }

  /** Regions that start again, with the reason. */
  get givenUp(): ReadonlyMap<number, string> {
    return this.#givenUp;
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

  /** Subtasks that nobody has told of, but for regions that are given up. */
  get missing(): SubtaskRef[] {
    const there = new Set(this.#ended);
    for (const { subtasks } of this.#currentReports) for (const key of subtasks.keys()) there.add(key);
    return this.#subtasksLeft.filter((subtask) => !there.has(subtaskKey(subtask)));
  }

  get #subtasksLeft(): SubtaskRef[] {
    return this.#slices.filter(({ region }) => !this.#givenUp.has(region)).flatMap((slice) => slice.subtasks);
  }

  /** Checkpoints of the earlier leader that are neither complete nor aborted as far as somebody knows, sorted. */
  get pendingCheckpointIds(): number[] {
    const ids = this.#adoptable.flatMap(({ report }) => report.pendingCheckpointIds);
    return [...new Set(ids)].sort((a, b) => a - b);
  }

  /** Subtasks that had ended before and are no longer there. */
  get gone(): SubtaskRef[] {
    const there = new Set(this.#currentReports.flatMap(({ subtasks }) => [...subtasks.keys()]));
    return this.#subtasksLeft.filter((subtask) => !there.has(subtaskKey(subtask)));
  }

  /** The attempts to go on with, as they were told. */
  executions(): AttemptExecution[] {
    return this.#executionsOf(this.#adoptable);
  }

  /** The attempts of regions that are given up, as they were told. */
  abandoned(): AttemptExecution[] {
    return this.#executionsOf(this.#currentReports.filter(({ region }) => this.#givenUp.has(region)));
  }

  /** Every attempt that was told of, to be ended. */
  everything(): AttemptExecution[] {
    return this.#executionsOf([...this.#reports.values()]);
  }

  #executionsOf(reports: readonly ReportedAttempt[]): AttemptExecution[] {
    const attempts = [...new Set(reports.map(({ report }) => report.attempt.attempt))].sort((a, b) => a - b);
    return attempts.map((attempt) => {
      const own = reports.filter(({ report }) => report.attempt.attempt === attempt);
      const placed = own.flatMap(({ taskManagerId, region, report }) => {
        return report.slices.map((slice) => ({ ...slice, taskManagerId, region }));
      });
      return AttemptExecution.adopted(
        attempt,
        own[0]?.region ?? 0,
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

function holderOf({ taskManagerId, region, report }: ReportedAttempt) {
  return { taskManagerId, region, attempt: report.attempt.attempt };
}

function isSame(left: SubtaskRef, right: SubtaskRef): boolean {
  return left.vertexId === right.vertexId && left.subtaskIndex === right.subtaskIndex;
}

function holdersOf(reports: readonly ReportedAttempt[]): AttemptHolder[] {
  return reports
    .map(({ taskManagerId, report }) => ({ taskManagerId, attempt: report.attempt.attempt }))
    .sort((a, b) => (holderKey(a) < holderKey(b) ? -1 : 1));
}
