/**
 * The sink that stands in for a job's own in a test. In place of one with a committer it keeps the guarantee: records travel as
 * committables and count once their checkpoint is complete. In place of one without, what is written counts at once, and
 * again after a crash.
 */
import { ownValue } from '../../core/codec/own.ts';
import type { PlainData, Sink, SinkWriter } from '../../core/connector/index.ts';

/** A record as a sink got it. */
export interface CapturedRecord<T = unknown> {
  readonly value: T;
  /** Event time in ms since the epoch; null where it has none. */
  readonly timestampMs: number | null;
  /** 0 insert, 1 update-before, 2 update-after, 3 delete. */
  readonly rowKind: number;
}

/** What the sinks of one test got, over all attempts. */
export class CapturedOutputs {
  readonly #sinks = new Map<string, CapturedRecord[]>();
  readonly #seen = new Set<string>();

  of(sinkId: string): CapturedRecord[] {
    let records = this.#sinks.get(sinkId);
    if (records === undefined) {
      records = [];
      this.#sinks.set(sinkId, records);
    }
    return records;
  }

  /** A committed chunk; the same one again, after a recovery, changes nothing. */
  deliver(sinkId: string, chunk: string, records: readonly unknown[]): void {
    const identity = `${sinkId}\u0000${chunk}`;
    if (this.#seen.has(identity)) return;
    this.#seen.add(identity);
    this.of(sinkId).push(...(records as readonly CapturedRecord[]));
  }

  /** A sink in place of the one with this id. */
  sink(sinkId: string, replaced: Sink<never>): Sink<never> {
    const exactlyOnce = replaced.createCommitter !== null;
    return {
      type: 'sink',
      kind: replaced.kind,
      options: replaced.options,
      createWriter: () => this.#writer(exactlyOnce ? null : this.of(sinkId)),
      createCommitter: exactlyOnce
        ? (context) => ({
            open: () => Promise.resolve(),
            commit: async (committables) => {
              for (const { checkpointId, subtaskIndex, data } of committables)
                context.deliver(sinkId, `${checkpointId}-${subtaskIndex}`, data as readonly PlainData[]);
            },
            close: () => Promise.resolve(),
          })
        : null,
      destination: null,
      occupation: () => Promise.resolve(null),
    };
  }

  /** @param direct where records go at once; null: with the commit */
  #writer(direct: CapturedRecord[] | null): SinkWriter<never> {
    let pending: CapturedRecord[] = [];
    return {
      open: () => Promise.resolve(),
      write: (value, timestamp, rowKind) => {
        const timestampMs = Number.isNaN(timestamp) ? null : timestamp;
        (direct ?? pending).push({ value: ownValue(value), timestampMs, rowKind });
      },
      hasRoom: true,
      drained: () => Promise.resolve(),
      prepareCommit: async () => {
        const records = pending;
        pending = [];
        return { committables: records.length === 0 ? [] : [records as unknown as PlainData], state: [] };
      },
      close: () => Promise.resolve(),
    };
  }
}
