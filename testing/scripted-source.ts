/**
 * A source whose splits say what the test tells them to, when it tells them: for tests of time, idleness and order. The
 * script is kept, so a restored reader reads the rest again.
 */
import type { PlannedSplits, Source, SourceReader, SplitCursor } from '../core/connector/index.ts';

export interface ScriptedOptions {
  readonly splits: number;
  /** True: the planner never says that there are no more splits. */
  readonly keepsPlanning?: boolean;
  readonly openSplitsMax?: number;
  readonly lowerBoundMs?: (split: number) => number;
}

interface Script<T> {
  readonly values: T[];
  ended: boolean;
  changed: () => void;
}

export class ScriptedSource<T> {
  readonly source: Source<T, number>;
  readonly #scripts: Script<T>[];

  constructor(options: ScriptedOptions) {
    const { splits, keepsPlanning = false, openSplitsMax = Number.POSITIVE_INFINITY, lowerBoundMs } = options;
    this.#scripts = Array.from({ length: splits }, () => ({ values: [], ended: false, changed: () => {} }));
    const planned = (count: number, done: boolean): PlannedSplits<number> => ({
      splits: Array.from({ length: count }, (_, split) => split),
      done,
    });
    this.source = {
      type: 'source',
      kind: 'scripted',
      options: {},
      boundedness: keepsPlanning ? 'unbounded' : 'bounded',
      openSplitsMax,
      splitId: String,
      ...(lowerBoundMs === undefined ? {} : { splitLowerBoundMs: lowerBoundMs }),
      createPlanner: () => {
        let asked = false;
        return {
          open: async (restored) => void (asked = restored === true),
          next: () => {
            if (asked && keepsPlanning) return new Promise<never>(() => {});
            const first = !asked;
            asked = true;
            return Promise.resolve(planned(first ? splits : 0, !keepsPlanning));
          },
          snapshot: () => asked,
          close: () => Promise.resolve(),
        };
      },
      createReader: (): SourceReader<T, number> => ({
        openSplit: (split, position) =>
          Promise.resolve(this.#cursor(this.#scripts[split] as Script<T>, (position as number | undefined) ?? 0)),
        close: () => Promise.resolve(),
      }),
    };
  }

  push(split: number, ...values: readonly T[]): void {
    const script = this.#scripts[split] as Script<T>;
    script.values.push(...values);
    script.changed();
  }

  end(...splits: readonly number[]): void {
    for (const split of splits) {
      const script = this.#scripts[split] as Script<T>;
      script.ended = true;
      script.changed();
    }
  }

  #cursor(script: Script<T>, from: number): SplitCursor<T> {
    let next = from;
    let batchStart = from;
    return {
      poll: (recordsMax) => {
        if (next >= script.values.length) return null;
        batchStart = next;
        const values = script.values.slice(next, next + recordsMax);
        next += values.length;
        return { values, timestamps: null };
      },
      get ended() {
        return script.ended && next >= script.values.length;
      },
      ready: () =>
        new Promise((resolve) => {
          if (script.ended || next < script.values.length) resolve();
          else script.changed = resolve;
        }),
      position: (consumed) => batchStart + consumed,
      close: () => Promise.resolve(),
    };
  }
}
