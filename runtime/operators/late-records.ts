/**
 * What becomes of a record that came too late: it is counted, and goes to the late output where somebody reads it. Whether a
 * record is late is the operator's to say, by the watermark of the record's own split.
 */
import type { AnyOperatorContext } from './operator.ts';
import { countMetric } from './user-code.ts';

export class LateRecords {
  readonly #context: AnyOperatorContext;
  /** Side outputs by input; null where nobody reads the late records. */
  readonly #tags: readonly (string | null)[];

  constructor(context: AnyOperatorContext) {
    const { lateTag, lateSecondTag } = context.node.config;
    this.#context = context;
    this.#tags = [lateTag, lateSecondTag].map((tag) => (typeof tag === 'string' ? tag : null));
  }

  /** @param afterIdle on time by its own split, which was idle, but what it belongs to is gone already */
  take(value: unknown, input: number, afterIdle: boolean): void {
    const context = this.#context;
    if (afterIdle) countMetric(context, 'lateAfterIdle', 1);
    context.metrics.lateRecords++;
    const tag = this.#tags[input] ?? null;
    if (tag !== null) context.sideOutput(tag).emit(value);
  }
}
