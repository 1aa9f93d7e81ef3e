/**
 * `windowJoin` and `coGroup`: the records of two streams in windows of a key, kind `window-co-group`. The windows are those of
 * one stream; each input has its own list of records. What a firing makes (a join: every pair) is pulled as there is room, so
 * that a window of many pairs neither fills memory nor blocks the slot; meanwhile nothing else is processed.
 */
import type { Key } from '../../../../core/operators.ts';
import type { WindowInfo, WindowJoinType } from '../../../../core/window-functions.ts';
import { ItemCursor } from '../../item-cursor.ts';
import type { Operator, OperatorContext } from '../../operator.ts';
import { windowInfo } from './function-call.ts';
import { RecordContents } from './window-contents.ts';
import { WindowOperatorBase } from './window-operator-base.ts';
import type { WindowOfKey } from './window-rows.ts';

type AnyCoGroup = (first: unknown[], second: unknown[], context: WindowInfo<Key>) => Iterable<unknown>;
type AnyJoin = (first: unknown, second: unknown) => unknown;

class WindowCoGroupOperator extends WindowOperatorBase<'window-co-group'> {
  protected override readonly contents: readonly RecordContents[];
  protected override readonly functionStates = [];
  readonly #items: ItemCursor;
  readonly #coGroup: AnyCoGroup;

  constructor(context: OperatorContext<'window-co-group'>) {
    super(context, context.functions);
    this.contents = ['first', 'second'].map(
      (name) => new RecordContents(this.owner, name, false, () => this.newCache()),
    );
    this.#items = new ItemCursor(context);
    const { coGroup, join } = context.functions;
    const type = context.node.config['type'] as WindowJoinType | undefined;
    this.#coGroup =
      (coGroup as AnyCoGroup | null) ?? ((first, second) => pairs(type ?? 'inner', join as AnyJoin, first, second));
  }

  get pending(): boolean {
    return this.#items.pending;
  }

  resume(): void {
    this.#items.resume();
  }

  override advanceWatermark(watermark: number): boolean {
    if (this.#items.pending) this.#items.resume();
    return super.advanceWatermark(watermark) && this.emitted;
  }

  override advanceProcessingTime(nowMs: number): boolean {
    if (this.#items.pending) this.#items.resume();
    return super.advanceProcessingTime(nowMs) && this.emitted;
  }

  override async close(): Promise<void> {
    await super.close();
    this.#items.close();
  }

  protected override get emitted(): boolean {
    return !this.#items.pending;
  }

  protected override fire({ key, start, end, stateId }: WindowOfKey): void {
    const record = { key, windowStart: start, windowEnd: end };
    const [first, second] = this.contents as [RecordContents, RecordContents];
    const info = windowInfo(this.context, this.watermark, key, { start, end });
    let items: Iterable<unknown>;
    try {
      items = this.#coGroup(first.list.values(stateId), second.list.values(stateId), info);
    } catch (error) {
      return this.userFailed(record, error);
    }
    this.#items.start(record, items);
  }

  protected override removed(): void {}

  protected override needFunctionRows(): void {}
}

/** The pairs of a join, in the order of the first stream, then the second. A missing side is null. */
function* pairs(
  type: WindowJoinType,
  join: AnyJoin,
  first: readonly unknown[],
  second: readonly unknown[],
): Generator<unknown> {
  if (second.length === 0) {
    if (type === 'left' || type === 'full') for (const left of first) yield join(left, null);
  } else if (first.length === 0) {
    if (type === 'right' || type === 'full') for (const right of second) yield join(null, right);
  } else {
    for (const left of first) for (const right of second) yield join(left, right);
  }
}

export function createWindowCoGroupOperator(context: OperatorContext<'window-co-group'>): Operator {
  return new WindowCoGroupOperator(context);
}
