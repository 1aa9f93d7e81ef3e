/**
 * Source planner: cuts the input into splits and sends them to the readers as records. Parallelism 1. A split belongs to
 * the planner until it is emitted, then to the channel, then to a reader; the barrier keeps that consistent.
 */
import { EngineError } from '../../core/errors.ts';
import type { PlannedSplits, SplitPlanner } from '../../core/connector/index.ts';
import { decodeValue } from '../../core/codec/value-codec.ts';
import { minWatermark } from '../../core/stream/batch.ts';
import { ReservedRows } from '../state/reserved-rows.ts';
import { connectorContext } from './connector-context.ts';
import type { Operator, OperatorContext, PollResult, RestoredRow, SnapshotTask } from './operator.ts';

/** What travels from planner to reader. `index` is the split's place in the order of discovery and decides its reader. */
export interface PlannedSplit {
  readonly index: number;
  readonly split: unknown;
}

interface PlannerRow {
  readonly nextIndex: number;
  readonly done: boolean;
  readonly planner: unknown;
  /** Found but not emitted when the barrier passed. */
  readonly waiting: readonly unknown[];
}

const stateName = 'planner';
/** Splits of one source; each is a row of state and waits in a reader. */
export const plannedSplitsMax = 1_000_000;

export class SourcePlannerOperator implements Operator {
  readonly #context: OperatorContext<'source-planner'>;
  readonly #planner: SplitPlanner<unknown>;
  readonly #rows: ReservedRows;
  #restored: PlannerRow | undefined;
  #nextIndex = 0;
  #done = false;
  /** Found and not yet emitted. The planner's own snapshot counts them as returned, so they are kept in ours. */
  #waiting: unknown[] = [];
  #snapshot: unknown = undefined;
  #asking = false;
  #discovered = false;
  #changed = true;

  constructor(context: OperatorContext<'source-planner'>) {
    this.#context = context;
    this.#planner = context.functions.source.createPlanner(connectorContext(context));
    this.#rows = new ReservedRows(context.node.id);
  }

  emit(): void {
    throw new EngineError('INTERNAL', 'a source planner has no input', { domain: 'internal' });
  }

  restore(row: RestoredRow): void {
    if (row.value !== null) this.#restored = decodeValue(row.value) as PlannerRow;
  }

  async open(): Promise<void> {
    if (this.#restored !== undefined) {
      this.#nextIndex = this.#restored.nextIndex;
      this.#done = this.#restored.done;
      this.#snapshot = this.#restored.planner;
      this.#waiting = [...this.#restored.waiting];
    }
    await this.#planner.open(this.#restored?.planner);
  }

  poll(_deadlineMs: number): PollResult {
    while (this.#waiting.length > 0) {
      if (!this.#context.hasRoom()) return 'waiting';
      this.#context.output.emit({ index: this.#nextIndex++, split: this.#waiting.shift() } satisfies PlannedSplit);
    }
    if (this.#done) return 'ended';
    if (!this.#asking) this.#ask();
    return 'waiting';
  }

  /** The channel to the readers is idle once the first round of discovery is over: it holds back no watermark then. */
  sourceWatermark(): { watermarkMs: number; idle: boolean } {
    return { watermarkMs: minWatermark, idle: this.#discovered && this.#waiting.length === 0 };
  }

  get sourceRecords(): number {
    return 0;
  }

  planningDone(): void {}

  advanceWatermark(): boolean {
    return true;
  }

  freeze(checkpointId: number): SnapshotTask | null {
    if (this.#changed) {
      const waiting = [...this.#waiting];
      const row: PlannerRow = { nextIndex: this.#nextIndex, done: this.#done, planner: this.#snapshot, waiting };
      this.#rows.put(stateName, 0, row);
      this.#changed = this.#waiting.length > 0;
    }
    return this.#rows.freeze(checkpointId);
  }

  checkpointCompleted(checkpointId: number): void {
    this.#rows.checkpointCompleted(checkpointId);
  }

  checkpointAborted(): void {}

  close(): Promise<void> {
    return this.#planner.close();
  }

  #ask(): void {
    this.#asking = true;
    this.#planner.next().then(
      (planned) => this.#received(planned),
      (error: unknown) => this.#context.fail(error),
    );
  }

  #received(planned: PlannedSplits<unknown>): void {
    this.#asking = false;
    const count = this.#nextIndex + this.#waiting.length + planned.splits.length;
    if (count > plannedSplitsMax) return this.#context.fail(tooManySplits(this.#context.node.id, count));
    this.#discovered = true;
    this.#waiting.push(...planned.splits);
    this.#done = planned.done;
    this.#snapshot = this.#planner.snapshot();
    this.#changed = true;
    this.#context.wake();
  }
}

function tooManySplits(operatorId: string, count: number): EngineError {
  const message = `source '${operatorId}' cuts its input into ${count} splits, more than ${plannedSplitsMax}: make the splits larger, or read fewer files at once`;
  return new EngineError('NOT_SUPPORTED', message, { ids: { operator: operatorId } });
}
