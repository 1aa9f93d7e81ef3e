/**
 * Where each subtask of the newest attempt is and what it was last heard to do: for those who look. Made of the messages that
 * pass the shell anyway, so that the job master keeps nothing for observers.
 */
import type { SlotSlice, SubtaskRef } from '../proto/messages.ts';
import type { JobMasterEvent, TaskManagerCall } from './model/job-master-protocol.ts';
import { subtaskKey } from './model/slot-assignment.ts';

export const observedStates = ['deploying', 'running', 'finished', 'failed', 'ended'] as const;
/** `ended`: its slot is gone before it had finished. */
export type ObservedState = (typeof observedStates)[number];

export interface ObservedSubtask {
  readonly subtask: SubtaskRef;
  readonly taskManagerId: string;
  readonly slotIndex: number;
  readonly state: ObservedState;
}

export class SubtaskBoard {
  #attempt = 0;
  readonly #subtasks = new Map<string, { -readonly [Key in keyof ObservedSubtask]: ObservedSubtask[Key] }>();

  /** In no order. */
  get subtasks(): readonly ObservedSubtask[] {
    return [...this.#subtasks.values()];
  }

  /** A call that is made of a task manager. */
  called(taskManagerId: string, call: TaskManagerCall): void {
    if (call.method !== 'deploySlots') return;
    const { attempt, slices } = call.request;
    this.#place(attempt.attempt, taskManagerId, slices);
  }

  /** An event that the job master has taken. */
  saw(event: JobMasterEvent): void {
    switch (event.kind) {
      case 'attempt-reported': {
        const { attempt, slices, subtasks } = event.running;
        this.#place(attempt.attempt, event.taskManagerId, slices);
        for (const { subtask, state } of subtasks) this.#set(attempt.attempt, subtask, observed(state));
        return;
      }
      case 'subtask-state':
        return this.#set(event.report.attempt.attempt, event.report.subtask, observed(event.report.state));
      case 'slot-ended':
        return this.#slotEnded(event.report.attempt.attempt, event.report.slotIndex);
      case 'task-manager-lost':
        return this.#lost(event.taskManagerId);
      default:
    }
  }

  #place(attempt: number, taskManagerId: string, slices: readonly SlotSlice[]): void {
    if (attempt < this.#attempt) return;
    if (attempt > this.#attempt) this.#subtasks.clear();
    this.#attempt = attempt;
    for (const { slotIndex, subtasks } of slices) {
      for (const subtask of subtasks)
        this.#subtasks.set(subtaskKey(subtask), { subtask, taskManagerId, slotIndex, state: 'deploying' });
    }
  }

  #set(attempt: number, subtask: SubtaskRef, state: ObservedState): void {
    const known = attempt === this.#attempt ? this.#subtasks.get(subtaskKey(subtask)) : undefined;
    if (known !== undefined) known.state = state;
  }

  #slotEnded(attempt: number, slotIndex: number): void {
    if (attempt !== this.#attempt) return;
    for (const known of this.#subtasks.values()) if (known.slotIndex === slotIndex) end(known);
  }

  #lost(taskManagerId: string): void {
    for (const known of this.#subtasks.values()) if (known.taskManagerId === taskManagerId) end(known);
  }
}

function end(known: { state: ObservedState }): void {
  if (known.state === 'deploying' || known.state === 'running') known.state = 'ended';
}

function observed(state: string): ObservedState {
  return (observedStates as readonly string[]).includes(state) ? (state as ObservedState) : 'ended';
}
