/** Watermarks of sources: splits that wait for their turn, are silent, or do not exist; clocks far from today. Virtual time. */
import { afterEach, describe, expect, it } from 'vitest';
import {
  count,
  defineJob,
  hours,
  type JobEnvironment,
  planJob,
  seconds,
  type Stream,
  tumbling,
} from '../../client/index.ts';
import type { Sink, SinkWriter } from '../../core/connector/index.ts';
import { Deliveries } from '../../testing/deliveries.ts';
import { ScriptedSource } from '../../testing/scripted-source.ts';
import { SlotHarness } from '../../testing/slot-harness.ts';
import { slowSink } from '../../testing/slow-sink.ts';
import { createColdTestBackend } from '../state/cold-test-backend.ts';

const hour = 3_600_000;
let started: SlotHarness[] = [];
afterEach(async () => {
  for (const harness of started) await harness.kill();
  started = [];
});

/** A slot with a clock of its own, and the watermark that reaches the windows (operator `hourly`). */
class TimedSlot {
  nowMs = 1_000_000;
  readonly delivered = new Deliveries();
  readonly harness: SlotHarness;

  constructor(define: (env: JobEnvironment) => void) {
    const job = planJob(defineJob('time', define), {});
    this.harness = new SlotHarness({ job, nowMs: () => this.nowMs, onDelivery: this.delivered.take });
    started.push(this.harness);
  }

  get watermark(): number {
    return (
      this.harness.runtime.metrics().find((sample) => sample.subtask.vertexId === 'hourly')?.watermarkMs ?? Number.NaN
    );
  }

  /** A checkpoint passes the whole slice in order, so whatever was on its way has arrived. */
  async settle(): Promise<void> {
    for (let round = 0; round < 5; round++) await new Promise((resolve) => setImmediate(resolve));
    await this.harness.checkpoint();
  }

  async pass(durationMs: number): Promise<void> {
    this.nowMs += durationMs;
    this.harness.runtime.clockMoved();
    await this.settle();
  }
}

/** Takes one record and then has no room until it is told to. */
class StoppableSink {
  written = 0;
  #stopped = false;
  #resumed = (): void => {};
  readonly sink: Sink<number> = { ...slowSink<number>(1).sink, createWriter: () => this.#writer() };

  stop(): void {
    this.#stopped = true;
  }

  resume(): void {
    this.#stopped = false;
    this.#resumed();
  }

  #writer(): SinkWriter<number> {
    const hasRoom = (): boolean => !this.#stopped || this.written === 0;
    return {
      open: () => Promise.resolve(),
      write: () => void this.written++,
      get hasRoom() {
        return hasRoom();
      },
      drained: () => new Promise((resolve) => void (this.#resumed = resolve)),
      prepareCommit: () => Promise.resolve({ committables: [], state: [] }),
      close: () => Promise.resolve(),
    };
  }
}

const timesOf = (stream: Stream<number>): Stream<number> =>
  stream.withTimestamps((at) => at, { outOfOrderness: seconds(0), idleTimeout: seconds(10) });

const hourly = (stream: Stream<number>): void => {
  stream
    .keyBy(() => 'all')
    .window(tumbling(hours(1)))
    .aggregate({ records: count() })
    .uid('hourly')
    .collect('hourly');
};

const windowsOf = (source: ScriptedSource<number>) => (env: JobEnvironment) =>
  hourly(timesOf(env.from(source.source, { uid: 'source' })));

describe('the watermark of a source', () => {
  it('waits for a silent split until its idle timeout, goes on without it, and waits again when it wakes', async () => {
    const source = new ScriptedSource<number>({ splits: 2 });
    const slot = new TimedSlot(windowsOf(source));
    await slot.harness.start();
    source.push(0, hour);
    source.push(1, 5);
    await slot.settle();
    expect(slot.watermark).toBe(4);
    await slot.pass(9_999);
    expect(slot.watermark).toBe(4);
    source.push(0, hour + 100);
    await slot.settle();
    await slot.pass(1);
    expect(slot.watermark).toBe(hour + 99);
    // It wakes: the watermark does not go back, and is held until the split has caught up.
    source.push(1, 2 * hour);
    source.push(0, 3 * hour);
    await slot.settle();
    expect(slot.watermark).toBe(2 * hour - 1);
    source.push(1, 3 * hour);
    await slot.settle();
    expect(slot.watermark).toBe(3 * hour - 1);
  });

  it('goes on when two splits fall silent one after the other', async () => {
    const source = new ScriptedSource<number>({ splits: 3 });
    const slot = new TimedSlot(windowsOf(source));
    await slot.harness.start();
    for (const split of [0, 1, 2]) source.push(split, split);
    await slot.settle();
    await slot.pass(5_000);
    source.push(1, 10);
    await slot.settle();
    await slot.pass(5_000);
    source.push(2, hour);
    await slot.settle();
    // Split 0 is idle, split 1 is not yet.
    expect(slot.watermark).toBe(9);
    await slot.pass(5_000);
    expect(slot.watermark).toBe(hour - 1);
  });

  it('does not count a split as idle while its records waited for room', async () => {
    const source = new ScriptedSource<number>({ splits: 2 });
    const sink = new StoppableSink();
    const slot = new TimedSlot((env) => {
      const times = timesOf(env.from(source.source, { uid: 'source' }));
      hourly(times);
      times.to(sink.sink);
    });
    await slot.harness.start();
    sink.stop();
    source.push(0, 3, 4);
    source.push(1, 100);
    // No checkpoint here: nothing passes a subtask that has no room.
    while (sink.written === 0) await new Promise((resolve) => setImmediate(resolve));
    slot.nowMs += 60_000;
    sink.resume();
    await slot.settle();
    expect(slot.watermark).toBe(3);
    await slot.pass(10_000);
    source.push(1, 200);
    await slot.settle();
    expect(slot.watermark).toBe(199);
  });

  it('holds back nothing when all its splits are idle, and another source goes on', async () => {
    const silent = new ScriptedSource<number>({ splits: 2 });
    const lively = new ScriptedSource<number>({ splits: 1 });
    const slot = new TimedSlot((env) => {
      hourly(
        timesOf(env.from(silent.source, { uid: 'silent' })).union(timesOf(env.from(lively.source, { uid: 'lively' }))),
      );
    });
    await slot.harness.start();
    silent.push(0, 1);
    lively.push(0, hour);
    await slot.settle();
    expect(slot.watermark).toBe(Number.NEGATIVE_INFINITY);
    await slot.pass(10_000);
    lively.push(0, 2 * hour);
    await slot.settle();
    expect(slot.watermark).toBe(2 * hour - 1);
  });

  it.each([true, false])(
    'holds back nothing when it has no split at all (planner goes on looking: %s)',
    async (keepsPlanning) => {
      const none = new ScriptedSource<number>({ splits: 0, keepsPlanning });
      const lively = new ScriptedSource<number>({ splits: 1 });
      const slot = new TimedSlot((env) => {
        hourly(
          timesOf(env.from(none.source, { uid: 'none' })).union(timesOf(env.from(lively.source, { uid: 'lively' }))),
        );
      });
      await slot.harness.start();
      lively.push(0, hour);
      await slot.settle();
      expect(slot.watermark).toBe(hour - 1);
    },
  );

  it('is held back by a split that waits for its turn, and only to its lower bound when it declares one', async () => {
    for (const lowerBoundMs of [undefined, (split: number) => split * 10 * hour]) {
      const source = new ScriptedSource<number>({
        splits: 2,
        openSplitsMax: 1,
        ...(lowerBoundMs === undefined ? {} : { lowerBoundMs }),
      });
      const slot = new TimedSlot(windowsOf(source));
      await slot.harness.start();
      source.push(0, hour, 2 * hour);
      await slot.settle();
      expect(slot.watermark).toBe(lowerBoundMs === undefined ? Number.NEGATIVE_INFINITY : 2 * hour - 1);
      source.push(0, 20 * hour);
      await slot.settle();
      expect(slot.watermark).toBe(lowerBoundMs === undefined ? Number.NEGATIVE_INFINITY : 10 * hour - 1);
      source.end(0);
      source.push(1, 15 * hour);
      await slot.settle();
      expect(slot.watermark).toBe(15 * hour - 1);
    }
  });

  it('stays behind a bound that is not a number', async () => {
    const source = new ScriptedSource<number>({ splits: 2, openSplitsMax: 1, lowerBoundMs: () => Number.NaN });
    const slot = new TimedSlot(windowsOf(source));
    await slot.harness.start();
    source.push(0, hour);
    await slot.settle();
    expect(slot.watermark).toBe(Number.NEGATIVE_INFINITY);
  });
});

describe('timestamps', () => {
  const farthest = 4e15;

  it.each(['memory', 'cold'])(
    'far from today make windows like any other, also after a restart, with the %s backend',
    async (backend) => {
      const times = [-62_135_596_800_000, -1, 0, 253_402_300_799_999, -farthest, farthest];
      const source = new ScriptedSource<number>({ splits: 1 });
      const job = planJob(
        defineJob('far', (env) => {
          env
            .from(source.source, { uid: 'source' })
            .withTimestamps((at) => at, { outOfOrderness: 2 * farthest, maxTimestamp: farthest })
            .keyBy(() => 'all')
            .window(tumbling(hours(1)))
            .aggregate({ records: count() })
            .collect('hourly');
        }),
        {},
      );
      const delivered = new Deliveries();
      const begin = (restore: SlotHarness['newest'], attempt: number) => {
        const harness = new SlotHarness({
          job,
          restore,
          attempt,
          onDelivery: delivered.take,
          ...(backend === 'cold' ? { backend: createColdTestBackend() } : {}),
        });
        started.push(harness);
        return harness.start();
      };
      source.push(0, ...times);
      const first = await begin(null, 1);
      await first.checkpoint();
      await first.kill();
      source.push(0, ...times);
      source.end(0);
      await (await begin(first.newest, 2)).finish();
      const starts = [...new Set(times.map((at) => Math.floor(at / hour) * hour + 0))].sort(
        (left, right) => left - right,
      );
      expect(delivered.channels.get('hourly')).toEqual(
        starts.map((windowStart) => ({ key: 'all', windowStart, windowEnd: windowStart + hour, records: 2 })),
      );
    },
  );

  it.each([Number.NaN, Number.POSITIVE_INFINITY, undefined as unknown as number])(
    'of %s are dropped and counted when the policy says so',
    async (bad) => {
      const source = new ScriptedSource<number>({ splits: 1 });
      const slot = new TimedSlot((env) => {
        const times = env.from(source.source, { uid: 'source' }).withTimestamps((at) => (at === 13 ? bad : at), {
          outOfOrderness: seconds(0),
          onBadTimestamp: 'skip',
        });
        hourly(times);
      });
      await slot.harness.start();
      source.push(0, 12, 13, 14);
      await slot.settle();
      expect(slot.watermark).toBe(13);
      const [, reader] = slot.harness.runtime.metrics();
      expect(reader.counters['badTimestamps']).toBe(1);
    },
  );
});
