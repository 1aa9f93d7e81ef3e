/** Windows of the operators job. */
import {
  count,
  countEvictor,
  countTrigger,
  countWindow,
  emits,
  eventTimeTrigger,
  globalWindow,
  max,
  milliseconds,
  purging,
  session,
  sliding,
  type Stream,
  sum,
  tumbling,
  type ValueStateDeclaration,
  valueState,
  type WindowTrigger,
} from 'millrace';
import { files } from 'millrace/files';
import { gapOf, type Item } from './items.ts';

const id = ({ id }: Readonly<Item>): { id: string } => ({ id });

/** Windows of accumulators. */
export function windowBranches(items: Stream<Item>, output: string): void {
  const byKey = items.keyBy((item) => item.key);
  const sets = { n: count(), total: sum((item: Readonly<Item>) => item.amount) };

  const sliding6 = byKey.window(sliding(milliseconds(6_000), milliseconds(2_000))).aggregate(sets);
  sliding6.uid('sliding').to(files.jsonl(`${output}/sliding`));
  sliding6
    .late()
    .map(id)
    .to(files.jsonl(`${output}/sliding-late`));

  const sessions = byKey.window(session(milliseconds(1_505))).aggregate(sets);
  sessions.uid('sessions').to(files.jsonl(`${output}/sessions`));
  sessions
    .late()
    .map(id)
    .to(files.jsonl(`${output}/sessions-late`));
  byKey
    .window(session(gapOf))
    .aggregate({ n: count(), best: max((item) => item.amount) })
    .uid('dynamic-sessions')
    .to(files.jsonl(`${output}/dynamic-sessions`));

  byKey
    .window(countWindow(7))
    .aggregate(sets)
    .uid('counted')
    .to(files.jsonl(`${output}/counted`));
  byKey
    .window(countWindow(10, 3))
    .aggregate(sets)
    .uid('counted-sliding')
    .to(files.jsonl(`${output}/counted-sliding`));
  items
    .windowAll(tumbling(milliseconds(1_000)))
    .aggregate(sets)
    .uid('all')
    .to(files.jsonl(`${output}/all`));
  byKey
    .window(tumbling(milliseconds(10_000)))
    .allowedLateness(milliseconds(3_600_000))
    .aggregate(sets)
    .uid('refined')
    .to(files.jsonl(`${output}/refined`));
}

/** Fires at every third record and at the end. */
function earlyAndAtEnd(): WindowTrigger<unknown, { readonly count: ValueStateDeclaration<number> }> {
  const early = countTrigger(3);
  const atEnd = eventTimeTrigger();
  return {
    ...early,
    kind: 'early-and-at-end',
    onElement(item, context) {
      const results = [early.onElement(item, context), atEnd.onElement(item, context)];
      return results.includes('fire') ? 'fire' : 'continue';
    },
    onEventTime: (timeMs, context) => atEnd.onEventTime?.(timeMs, context) ?? 'continue',
    clear: (context) => atEnd.clear?.(context),
  };
}

/** Windows with triggers, evictors and functions. */
export function generalWindowBranches(items: Stream<Item>, output: string): void {
  const byKey = items.keyBy((item) => item.key);
  byKey
    .window(tumbling(milliseconds(5_000)))
    .trigger(earlyAndAtEnd())
    .aggregate({ n: count() }, ({ key, n }, { window }) => ({ key, start: window.start, n }))
    .uid('early')
    .to(files.jsonl(`${output}/early`));
  byKey
    .window(tumbling(milliseconds(10_000)))
    .evictor(countEvictor(3))
    .process(emits<{ key: string; start: number; ids: string[] }>(), {
      onWindow: (records, { key, window, emit }) =>
        emit({ key, start: window.start, ids: records.map((record) => record.id) }),
    })
    .uid('evicted')
    .to(files.jsonl(`${output}/evicted`));
  byKey
    .window(globalWindow())
    .trigger(purging(countTrigger(5)))
    .process(emits<{ key: string; fired: number; ids: string[] }>(), {
      state: { fired: valueState<number>() },
      onWindow(records, { key, state, emit }) {
        const fired = (state.fired.value() ?? 0) + 1;
        state.fired.update(fired);
        emit({ key, fired, ids: records.map((record) => record.id) });
      },
    })
    .uid('global')
    .to(files.jsonl(`${output}/global`));
  byKey
    .window(tumbling(milliseconds(5_000)))
    .reduce(
      (a, b) => (b.amount > a.amount ? b : a),
      emits<{ key: string; start: number; best: string; before: number }>(),
      {
        state: { last: valueState<number>() },
        windowState: { cleared: valueState<number>() },
        onWindow(best, { key, window, state, windowState, emit }) {
          const before = state.last.value() ?? 0;
          state.last.update(best.amount);
          windowState.cleared.update(best.amount);
          emit({ key, start: window.start, best: best.id, before });
        },
        onClear({ key, window, windowState, emit }) {
          emit({ key, start: window.start, best: 'cleared', before: windowState.cleared.value() ?? -1 });
        },
      },
    )
    .uid('best')
    .to(files.jsonl(`${output}/best`));
  byKey
    .window(session(milliseconds(1_505)))
    .process(emits<{ key: string; start: number; end: number; ids: string[] }>(), {
      onWindow: (records, { key, window: { start, end }, emit }) =>
        emit({ key, start, end, ids: records.map((record) => record.id).sort() }),
    })
    .uid('session-records')
    .to(files.jsonl(`${output}/session-records`));
}
