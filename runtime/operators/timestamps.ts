/**
 * `withTimestamps`: gives each record its event time and, where it matters, the watermark of its own split. Stands in the
 * chain of a source reader; the reader merges the splits' watermarks and emits the result.
 */
import { EngineError } from '../../core/errors.ts';
import type { SourceTime } from '../time/split-time.ts';
import type { Collector, OperatorContext, RecordScope } from './operator.ts';
import { StatelessOperator } from './stateless.ts';
import { countMetric, handleUserError } from './user-code.ts';

export class TimestampsOperator extends StatelessOperator {
  readonly #context: OperatorContext<'timestamps'>;
  readonly #timestampOf: (value: never) => number;
  readonly #output: Collector;
  readonly #scope: RecordScope;
  readonly #time: SourceTime;
  readonly #outOfOrdernessMs: number;
  readonly #skipBad: boolean;

  constructor(context: OperatorContext<'timestamps'>, time: SourceTime) {
    super();
    this.#context = context;
    this.#timestampOf = context.functions.timestampOf;
    this.#output = context.output;
    this.#scope = context.scope;
    this.#time = time;
    this.#outOfOrdernessMs = context.node.config['outOfOrdernessMs'] as number;
    this.#skipBad = context.node.config['onBadTimestamp'] === 'skip';
    time.assigned = true;
    time.idleTimeoutMs = (context.node.config['idleTimeoutMs'] ?? null) as number | null;
  }

  emit(value: unknown): void {
    let timestamp: number;
    try {
      timestamp = this.#timestampOf(value as never);
    } catch (error) {
      handleUserError(this.#context, value, error);
      return;
    }
    if (typeof timestamp !== 'number' || !Number.isFinite(timestamp)) {
      this.#rejectTimestamp(timestamp);
      return;
    }
    const split = this.#time.current;
    const watermark = split.watermarkMs;
    this.#scope.timestamp = timestamp;
    this.#scope.splitWatermark = timestamp <= watermark ? watermark : Number.NaN;
    split.observe(timestamp, this.#outOfOrdernessMs);
    this.#output.emit(value);
  }

  #rejectTimestamp(timestamp: unknown): void {
    if (this.#skipBad) {
      countMetric(this.#context, 'badTimestamps', 1);
      return;
    }
    const message = `operator '${this.#context.node.id}' got ${String(timestamp)} as the timestamp of a record; return finite milliseconds since the epoch, or set onBadTimestamp: 'skip'`;
    this.#context.fail(new EngineError('USER_FUNCTION_FAILED', message, { ids: { operator: this.#context.node.id } }));
  }
}
