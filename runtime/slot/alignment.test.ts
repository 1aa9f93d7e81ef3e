/** Watermark alignment: sources of a group wait for the slowest, within a slot and across slots. Virtual time. */
import { afterEach, describe, expect, it } from 'vitest';
import {
  type AlignmentOptions,
  count,
  defineJob,
  hours,
  type JobEnvironment,
  minutes,
  planJob,
  seconds,
  type Stream,
  tumbling,
} from '../../client/index.ts';
import { WatermarkAlignment } from '../../jobmanager/model/watermark-alignment.ts';
import { Deliveries } from '../../testing/deliveries.ts';
import { ScriptedSource } from '../../testing/scripted-source.ts';
import { SlotHarness } from '../../testing/slot-harness.ts';
import { SlotsHarness } from '../../testing/slots-harness.ts';

let started: { kill(): Promise<void> }[] = [];
afterEach(async () => {
  for (const harness of started) await harness.kill();
  started = [];
});

const minute = 60_000;
const alignment: AlignmentOptions = { group: 'all', maxDrift: minutes(5) };
const everyMinute = (from: number, to: number): number[] =>
  Array.from({ length: to - from }, (_, index) => (from + index) * minute);

class AlignedSlot {
  nowMs = 1_000_000;
  readonly seen = new Map<string, number[]>();
  readonly delivered = new Deliveries();
  readonly harness: SlotHarness;

  constructor(define: (slot: AlignedSlot, env: JobEnvironment) => void) {
    const job = planJob(
      defineJob('aligned', (env) => define(this, env)),
      {},
    );
    this.harness = new SlotHarness({ job, nowMs: () => this.nowMs, onDelivery: this.delivered.take });
    started.push(this.harness);
  }

  /** A source whose records are noted under its name. */
  source(env: JobEnvironment, name: string, source: ScriptedSource<number>, group: AlignmentOptions): Stream<number> {
    this.seen.set(name, []);
    const noted = (at: number): boolean => (this.seen.get(name)?.push(at) ?? 0) > 0;
    return env
      .from(source.source, { uid: name })
      .withTimestamps((at) => at, { outOfOrderness: 0, idleTimeout: seconds(10), alignment: group })
      .filter(noted);
  }

  minutesOf(name: string): number[] {
    return (this.seen.get(name) ?? []).map((at) => at / minute);
  }

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

const hourly = (stream: Stream<number>): void =>
  void stream
    .keyBy(() => 'all')
    .window(tumbling(hours(1)))
    .aggregate({ records: count() })
    .collect('hourly');

describe('sources of an alignment group', () => {
  const twoSources = (slow: ScriptedSource<number>, fast: ScriptedSource<number>, group = alignment) =>
    new AlignedSlot((slot, env) => {
      hourly(slot.source(env, 'slow', slow, alignment).union(slot.source(env, 'fast', fast, group)));
    });

  it('read at most the drift ahead of the slowest, and go on when it has caught up', async () => {
    const [slow, fast] = [new ScriptedSource<number>({ splits: 1 }), new ScriptedSource<number>({ splits: 1 })];
    const slot = twoSources(slow, fast);
    await slot.harness.start();
    slow.push(0, 0);
    await slot.settle();
    fast.push(0, ...everyMinute(0, 1_000));
    await slot.settle();
    // The first record above the limit is the one that says so.
    expect(slot.minutesOf('fast')).toEqual([0, 1, 2, 3, 4, 5, 6].slice(0, slot.minutesOf('fast').length));
    expect(slot.minutesOf('fast').at(-1)).toBe(6);
    slow.push(0, 10 * minute);
    await slot.settle();
    expect(slot.minutesOf('fast').at(-1)).toBe(16);
    slow.end(0);
    fast.end(0);
    await slot.harness.finish();
    expect(slot.minutesOf('fast')).toHaveLength(1_000);
    const results = slot.delivered.channels.get('hourly') as { records: number }[];
    expect(results.reduce((sum, { records }) => sum + records, 0)).toBe(1_002);
  });

  it('wait for nobody of another group', async () => {
    const [slow, fast] = [new ScriptedSource<number>({ splits: 1 }), new ScriptedSource<number>({ splits: 1 })];
    const slot = twoSources(slow, fast, { ...alignment, group: 'other' });
    await slot.harness.start();
    slow.push(0, 0);
    await slot.settle();
    fast.push(0, ...everyMinute(0, 100));
    await slot.settle();
    expect(slot.minutesOf('fast')).toHaveLength(100);
  });

  it('do not wait for a split that is idle, and a split that waits does not become idle', async () => {
    const [slow, fast] = [new ScriptedSource<number>({ splits: 1 }), new ScriptedSource<number>({ splits: 1 })];
    const slot = twoSources(slow, fast);
    await slot.harness.start();
    slow.push(0, 0);
    await slot.settle();
    fast.push(0, ...everyMinute(0, 100));
    await slot.settle();
    await slot.pass(9_999);
    slow.push(0, 1 * minute);
    await slot.settle();
    const watermarkOf = (name: string): number | undefined =>
      slot.harness.runtime.metrics().find((sample) => sample.subtask.vertexId === name)?.watermarkMs;
    expect(slot.minutesOf('fast').at(-1)).toBe(7);
    // Silent for longer than the idle timeout, but not of its own will: the slow one is, and is not waited for.
    await slot.pass(10_000);
    expect(slot.minutesOf('fast').at(-1)).toBe(99);
    expect(watermarkOf('fast')).toBe(99 * minute - 1);
  });

  it('keep splits of one source together', async () => {
    const source = new ScriptedSource<number>({ splits: 3 });
    const slot = new AlignedSlot((self, env) => hourly(self.source(env, 'one', source, alignment)));
    await slot.harness.start();
    for (const split of [0, 1]) source.push(split, 0);
    source.push(2, ...everyMinute(0, 50));
    await slot.settle();
    expect(Math.max(...slot.minutesOf('one'))).toBe(6);
    source.push(0, 3 * minute);
    source.end(1);
    await slot.settle();
    expect(Math.max(...slot.minutesOf('one'))).toBe(9);
    source.end(0);
    await slot.settle();
    expect(Math.max(...slot.minutesOf('one'))).toBe(49);
  });

  it('do not wait for splits that wait for their turn', async () => {
    const source = new ScriptedSource<number>({ splits: 2, openSplitsMax: 1 });
    const slot = new AlignedSlot((self, env) => hourly(self.source(env, 'files', source, alignment)));
    await slot.harness.start();
    source.push(0, ...everyMinute(0, 50));
    source.push(1, ...everyMinute(0, 50));
    source.end(0, 1);
    await slot.harness.finish();
    expect(slot.minutesOf('files')).toHaveLength(100);
  });

  it('go on from a checkpoint at the record they paused at', async () => {
    const [slow, fast] = [new ScriptedSource<number>({ splits: 1 }), new ScriptedSource<number>({ splits: 1 })];
    slow.push(0, 0);
    fast.push(0, ...everyMinute(0, 100));
    const seen: number[] = [];
    const job = planJob(
      defineJob('restored', (env) => {
        const of = (name: string, source: ScriptedSource<number>): Stream<number> =>
          env.from(source.source, { uid: name }).withTimestamps((at) => at, { outOfOrderness: 0, alignment });
        hourly(of('slow', slow).union(of('fast', fast).filter((at) => seen.push(at) > 0)));
      }),
      {},
    );
    const first = new SlotHarness({ job });
    started.push(first);
    await first.start();
    for (let round = 0; round < 20; round++) await first.checkpoint();
    const paused = seen.length;
    expect(paused).toBeLessThan(100);
    await first.kill();
    const second = new SlotHarness({ job, restore: first.newest, attempt: 2 });
    started.push(second);
    slow.end(0);
    fast.end(0);
    await second.start();
    await second.finish();
    expect(seen).toEqual(everyMinute(0, 100));
  });
});

describe('slots', () => {
  it('wait for the slowest source of other slots as the job manager tells them', async () => {
    const source = new ScriptedSource<number>({ splits: 2, keepsPlanning: true });
    const seen: number[] = [];
    const job = planJob(
      defineJob('slots', (env) => {
        env
          .from(source.source, { uid: 'source' })
          .withTimestamps((at) => Math.floor(at), { outOfOrderness: 0, alignment })
          .filter((at) => seen.push(at / minute) > 0)
          .print();
      }),
      { parallelism: 2 },
    );
    const harness = await new SlotsHarness({ job }).start();
    started.push(harness);
    const model = new WatermarkAlignment();
    /** Every slot reports and is answered, as its timer does. */
    const round = async (): Promise<void> => {
      for (const { slotIndex, alignment: slot } of harness.alignments)
        slot.others(model.reported({ attempt: 1, slotIndex, groups: slot.report() }));
      for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
    };
    source.push(0, 0);
    source.push(1, 0);
    await round();
    await round();
    source.push(1, ...everyMinute(1, 100));
    await round();
    expect(Math.max(...seen)).toBe(6);
    source.push(0, 50 * minute);
    // Two reports: of the one that has moved, then of the one that waits.
    await round();
    await round();
    expect(Math.max(...seen)).toBe(56);
    // A slot in which nobody counts any more. That it has ended is seen once it may read again.
    source.end(0);
    await round();
    await round();
    await round();
    expect(Math.max(...seen)).toBe(99);
  });
});
