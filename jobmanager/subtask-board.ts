/**
 * Where each subtask of the attempts that are current is and what it was last heard to do: for those who look. Made of the
 * messages that pass the shell anyway, so that the job master keeps nothing for observers.
 */
import type { RunningAttempt, SubtaskRef } from '../proto/messages.ts';
import type { JobMasterEvent, TaskManagerCall } from './model/job-master-protocol.ts';
import { subtaskKey } from './model/slot-assignment.ts';

export const observedStates = ['deploying', 'running', 'finished', 'failed', 'ended'] as const;
/** `ended`: its slot is gone before it had finished. */
export type ObservedState = (typeof observedStates)[number];

export interface ObservedSubtask {
  readonly subtask: SubtaskRef;
  readonly taskManagerId: string;
  readonly slotIndex: number;
  readonly attempt: number;
  readonly state: ObservedState;
}

interface Known extends ObservedSubtask {
  state: ObservedState;
}

/** What of a deployment, or of the report of one, says where subtasks are. */
type Placement = Pick<RunningAttempt, 'attempt' | 'slices' | 'currentAttempts'>;

export class SubtaskBoard {
  readonly #subtasks = new Map<string, Known>();
  /** The newest attempt, and those that are current with it. */
  #newest = 0;
  #current: readonly number[] = [];

  /** In no order. */
  get subtasks(): readonly ObservedSubtask[] {
    return [...this.#subtasks.values()];
  }

  /** A call that is made of a task manager. */
  called(taskManagerId: string, call: TaskManagerCall): void {
    if (call.method !== 'deploySlots') return;
    this.#place(taskManagerId, call.request);
  }

  /** An event that the job master has taken. */
  saw(event: JobMasterEvent): void {
    switch (event.kind) {
      case 'attempt-reported': {
        const { attempt, subtasks } = event.running;
        this.#place(event.taskManagerId, event.running);
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

  #place(taskManagerId: string, { attempt: { attempt }, currentAttempts, slices }: Placement): void {
    if (attempt > this.#newest) {
      this.#newest = attempt;
      this.#current = [attempt, ...currentAttempts];
      for (const [key, known] of this.#subtasks) if (!this.#current.includes(known.attempt)) this.#subtasks.delete(key);
    }
    if (!this.#current.includes(attempt)) return;
    for (const { slotIndex, subtasks } of slices) {
      for (const subtask of subtasks) {
        const known = this.#subtasks.get(subtaskKey(subtask));
        if (known !== undefined && known.attempt > attempt) continue;
        this.#subtasks.set(subtaskKey(subtask), { subtask, taskManagerId, slotIndex, state: 'deploying', attempt });
      }
    }
  }

  #set(attempt: number, subtask: SubtaskRef, state: ObservedState): void {
    const known = this.#subtasks.get(subtaskKey(subtask));
    if (known?.attempt === attempt) known.state = state;
  }

  #slotEnded(attempt: number, slotIndex: number): void {
    for (const known of this.#subtasks.values())
      if (known.attempt === attempt && known.slotIndex === slotIndex) end(known);
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
