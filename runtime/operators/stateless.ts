/**
 * What operators without state share: nothing to restore, nothing to freeze, watermarks pass.
 */
import type { Operator, RestoredRow, SnapshotTask } from './operator.ts';
import { EngineError } from '../../core/errors.ts';

export abstract class StatelessOperator implements Operator {
  abstract emit(value: unknown): void;

  restore(row: RestoredRow): void {
    throw new EngineError('INTERNAL', `a stateless operator was given a row of state '${row.stateName}'`, {
      domain: 'internal',
    });
  }

  open(): Promise<void> {
    return Promise.resolve();
  }

  advanceWatermark(_watermark: number): boolean {
    return true;
  }

  freeze(_checkpointId: number): SnapshotTask | null {
    return null;
  }

  checkpointCompleted(_checkpointId: number): void {}

  checkpointAborted(_checkpointId: number): void {}

  close(): Promise<void> {
    return Promise.resolve();
  }
}
