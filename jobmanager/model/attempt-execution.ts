/**
 * The execution graph of one attempt, which is one try of one region: its slots and subtasks, from deployment until every
 * slot has ended. Pure.
 *
 *   deployed ─▶ all slots listen ─▶ connected ─▶ all subtasks run ─▶ … ─▶ all finished
 *        └───────────────┴───────────────┴──────────────┴─▶ canceling ─▶ all slots ended
 *
 * Reports of other attempts never get here. A report that says what is known already is a repeated one and changes nothing.
 */
import { EngineError } from '../../core/errors.ts';
import type { SlotAddress, SlotSlice, SubtaskRef, SubtaskState, SubtaskStateReport } from '../../proto/messages.ts';
import { isLegalSubtaskMove, isTerminalSubtask } from './job-state.ts';
import { type PlacedSlot, type SlotOffer, subtaskKey } from './slot-assignment.ts';

/** What a task manager says of a subtask that runs already. */
export interface ReportedSubtask {
  readonly subtask: SubtaskRef;
  state: SubtaskState;
  inputEnded: boolean;
}

interface SubtaskExecution {
  readonly subtask: SubtaskRef;
  readonly slotIndex: number;
  state: SubtaskState;
  inputEnded: boolean;
}

interface SlotExecution {
  readonly placed: PlacedSlot;
  address: SlotAddress | null;
  ended: boolean;
}

export class AttemptExecution {
  readonly attempt: number;
  readonly region: number;
  readonly #slots = new Map<number, SlotExecution>();
  readonly #subtasks = new Map<string, SubtaskExecution>();

  constructor(attempt: number, region: number, placed: readonly PlacedSlot[]) {
    this.attempt = attempt;
    this.region = region;
    for (const slot of placed) {
      this.#slots.set(slot.slotIndex, { placed: slot, address: null, ended: false });
      for (const subtask of slot.subtasks) {
        const execution = { subtask, slotIndex: slot.slotIndex, state: 'deploying' as SubtaskState, inputEnded: false };
        this.#subtasks.set(subtaskKey(subtask), execution);
      }
    }
  }

  /** An attempt that runs already, as its task managers have told. */
  static adopted(
    attempt: number,
    region: number,
    placed: readonly PlacedSlot[],
    reported: readonly ReportedSubtask[],
    endedSlots: readonly number[],
  ): AttemptExecution {
    const execution = new AttemptExecution(attempt, region, placed);
    for (const { subtask, state, inputEnded } of reported) {
      const known = execution.#subtasks.get(subtaskKey(subtask));
      if (known !== undefined) Object.assign(known, { state, inputEnded });
    }
    for (const slotIndex of endedSlots) {
      const slot = execution.#slots.get(slotIndex);
      if (slot !== undefined) slot.ended = true;
    }
    return execution;
  }

  /** Task managers with slots of this attempt, sorted. */
  get taskManagerIds(): string[] {
    return [...new Set([...this.#slots.values()].map((slot) => slot.placed.taskManagerId))].sort();
  }

  get subtasks(): { readonly subtask: SubtaskRef; readonly taskManagerId: string }[] {
    return [...this.#slots.values()].flatMap(({ placed }) => {
      return placed.subtasks.map((subtask) => ({ subtask, taskManagerId: placed.taskManagerId }));
    });
  }

  /** All slices, or those of one task manager. */
  slices(taskManagerId?: string): SlotSlice[] {
    return [...this.#slots.values()]
      .filter((slot) => taskManagerId === undefined || slot.placed.taskManagerId === taskManagerId)
      .map(({ placed }) => ({ slotIndex: placed.slotIndex, subtasks: placed.subtasks }));
  }

  /** Addresses of all slots, or null while one is missing. */
  get addresses(): SlotAddress[] | null {
    const addresses: SlotAddress[] = [];
    for (const slot of this.#slots.values()) {
      if (slot.address === null) return null;
      addresses.push(slot.address);
    }
    return addresses;
  }

  /** How many subtasks of a vertex are in which state. */
  get subtaskStates(): Map<string, Record<string, number>> {
    const vertices = new Map<string, Record<string, number>>();
    for (const { subtask, state } of this.#subtasks.values()) {
      const states = vertices.get(subtask.vertexId) ?? {};
      vertices.set(subtask.vertexId, states);
      states[state] = (states[state] ?? 0) + 1;
    }
    return vertices;
  }

  /** Subtasks that have left. */
  get finishedSubtasks(): SubtaskRef[] {
    return [...this.#subtasks.values()].filter(({ state }) => state === 'finished').map(({ subtask }) => subtask);
  }

  get allRunning(): boolean {
    return this.#every((execution) => execution.state === 'running' || execution.state === 'finished');
  }

  /** Every subtask that has not left yet has reached the end of its input. */
  get allInputEnded(): boolean {
    return this.#every((execution) => execution.inputEnded || execution.state === 'finished');
  }

  get allFinished(): boolean {
    return this.#every((execution) => execution.state === 'finished');
  }

  get allSlotsEnded(): boolean {
    return [...this.#slots.values()].every((slot) => slot.ended);
  }

  /** How many of its slots each task manager still gives to it. */
  get heldSlots(): SlotOffer[] {
    const held = new Map<string, number>();
    for (const { taskManagerId } of this.openSlots) held.set(taskManagerId, (held.get(taskManagerId) ?? 0) + 1);
    return [...held].map(([taskManagerId, slotCount]) => ({ taskManagerId, slotCount }));
  }

  /** Slots whose end was not reported, for messages. */
  get openSlots(): { readonly slotIndex: number; readonly taskManagerId: string }[] {
    return [...this.#slots.values()].filter((slot) => !slot.ended).map(({ placed }) => placed);
  }

  /** A slot listens. Returns false for a repeated or foreign report. */
  listening(taskManagerId: string, address: SlotAddress): boolean {
    const slot = this.#slot(taskManagerId, address.slotIndex);
    if (slot.address !== null) return false;
    slot.address = address;
    return true;
  }

  /**
   * Takes over what a subtask reports. Returns false when nothing changed.
   * @throws EngineError PROTOCOL for a subtask that is not there or a state that cannot follow
   */
  report(report: SubtaskStateReport): boolean {
    const execution = this.#subtasks.get(subtaskKey(report.subtask));
    if (
      execution === undefined ||
      this.#slots.get(execution.slotIndex)?.placed.taskManagerId !== report.taskManagerId
    ) {
      throw refused(
        this.attempt,
        `subtask ${subtaskKey(report.subtask)} is not on task manager ${report.taskManagerId}`,
      );
    }
    const endedNow = report.inputEnded && !execution.inputEnded && !isTerminalSubtask(execution.state);
    if (endedNow) execution.inputEnded = true;
    if (report.state === execution.state) return endedNow;
    // It came to run while another subtask failed: the two messages crossed, nothing is wrong.
    if (report.state === 'running' && execution.state === 'canceling') return false;
    if (!isLegalSubtaskMove(execution.state, report.state)) {
      throw refused(
        this.attempt,
        `subtask ${subtaskKey(report.subtask)} cannot go from ${execution.state} to ${report.state}`,
      );
    }
    execution.state = report.state;
    return true;
  }

  /** The thread of a slot has ended. Returns false for a repeated report. */
  slotEnded(taskManagerId: string, slotIndex: number): boolean {
    const slot = this.#slot(taskManagerId, slotIndex);
    if (slot.ended) return false;
    slot.ended = true;
    return true;
  }

  /** True when every subtask of a slot has finished: its end is no accident. */
  isSlotFinished(slotIndex: number): boolean {
    const subtasks = this.#slots.get(slotIndex)?.placed.subtasks ?? [];
    return subtasks.length > 0 && subtasks.every((ref) => this.#subtasks.get(subtaskKey(ref))?.state === 'finished');
  }

  /** A task manager is gone, and its slots with it. Returns whether that leaves subtasks undone. */
  taskManagerLost(taskManagerId: string): boolean {
    let undone = false;
    for (const slot of this.#slots.values()) {
      if (slot.placed.taskManagerId !== taskManagerId) continue;
      if (!this.isSlotFinished(slot.placed.slotIndex)) undone = true;
      slot.ended = true;
    }
    return undone;
  }

  /** A task manager has refused to start its slots. */
  neverStarted(taskManagerId: string): void {
    for (const slot of this.#slots.values()) if (slot.placed.taskManagerId === taskManagerId) slot.ended = true;
  }

  cancel(): void {
    for (const execution of this.#subtasks.values()) {
      if (isLegalSubtaskMove(execution.state, 'canceling')) execution.state = 'canceling';
    }
  }

  #slot(taskManagerId: string, slotIndex: number): SlotExecution {
    const slot = this.#slots.get(slotIndex);
    if (slot === undefined || slot.placed.taskManagerId !== taskManagerId) {
      throw refused(this.attempt, `slot ${slotIndex} is not on task manager ${taskManagerId}`);
    }
    return slot;
  }

  #every(predicate: (execution: SubtaskExecution) => boolean): boolean {
    for (const execution of this.#subtasks.values()) if (!predicate(execution)) return false;
    return true;
  }
}

function refused(attempt: number, why: string): EngineError {
  const message = `report for attempt ${attempt} refused: ${why}; look for an earlier error of that task manager`;
  return new EngineError('PROTOCOL', message, { domain: 'internal', ids: { attempt } });
}
