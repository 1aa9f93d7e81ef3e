/** Two streams in one operator. */
import { emits, listState, mapState, milliseconds, session, type Stream, tumbling, valueState } from 'millrace';
import { files } from 'millrace/files';
import type { Item, Rule } from './items.ts';

/** Streams of the job. */
export interface Streams {
  readonly items: Stream<Item>;
  readonly marks: Stream<Item>;
  readonly rules: Stream<Rule>;
}

const pairOf = (a: Readonly<Item> | null, b: Readonly<Item> | null): { a: string | null; b: string | null } => ({
  a: a?.id ?? null,
  b: b?.id ?? null,
});
const id = ({ id }: Readonly<Item>): { id: string } => ({ id });
const withinMs = 3_005;

/** Joins, in windows and without, and functions of two inputs. */
export function joinBranches({ items, marks, rules }: Streams, output: string): void {
  const byGroup = items.keyBy((item) => item.group);
  const marksByGroup = marks.keyBy((mark) => mark.group);

  const windowed = byGroup.windowJoin(marksByGroup, tumbling(milliseconds(5_000)), { type: 'full' }, pairOf);
  windowed.uid('window-join').to(files.jsonl(`${output}/window-join`));
  windowed
    .lateFirst()
    .map(id)
    .to(files.jsonl(`${output}/window-join-late-first`));
  windowed
    .lateSecond()
    .map(id)
    .to(files.jsonl(`${output}/window-join-late-second`));
  byGroup
    .coGroup(marksByGroup, session(milliseconds(1_505)), (first, second, { key, window }) => [
      { group: key, start: window.start, end: window.end, first: first.length, second: second.length },
    ])
    .uid('co-group')
    .to(files.jsonl(`${output}/co-group`));
  const near = byGroup.intervalJoin(
    marksByGroup,
    { lower: milliseconds(-500), upper: milliseconds(1_000), upperExclusive: true },
    pairOf,
  );
  near.uid('interval-join').to(files.jsonl(`${output}/interval-join`));
  near
    .lateSecond()
    .map(id)
    .to(files.jsonl(`${output}/interval-join-late-second`));

  const few = items.filter((item) => item.seq % 5 === 0).keyBy((item) => item.group);
  const fewMarks = marks.filter((mark) => mark.seq % 5 === 0).keyBy((mark) => mark.group);
  few
    .join(fewMarks, { type: 'inner' }, pairOf)
    .uid('inner-join')
    .to(files.jsonl(`${output}/inner-join`));
  items
    .filter((item) => item.seq % 10 === 0)
    .keyBy((item) => item.group * 100 + item.amount)
    .join(
      marks.filter((mark) => mark.seq % 2 === 0).keyBy((mark) => mark.group * 100 + mark.amount),
      { type: 'full' },
      pairOf,
    )
    .uid('full-join')
    .to(files.jsonl(`${output}/full-join`, { changes: true }))
    .uid('full-join-out');
  connected({ items, marks, rules }, output);
}

/** Functions of two inputs with timers, and broadcast state. */
function connected({ items, marks, rules }: Streams, output: string): void {
  items
    .filter((item) => !item.late)
    .connect(marks.filter((mark) => !mark.late))
    .keyBy(
      (item) => item.group,
      (mark) => mark.group,
    )
    .process(emits<{ id: string; marks: number }>(), {
      state: { items: mapState<string, number>(), marks: listState<number>() },
      onFirst(item, { state, timers }) {
        state.items.set(item.id, item.time);
        timers.registerEventTime(item.time + withinMs);
      },
      onSecond: (mark, { state }) => state.marks.add(mark.time),
      onTimer(timestampMs, { state, emit }) {
        for (const [id, time] of [...state.items.entries()]) {
          if (time + withinMs !== timestampMs) continue;
          emit({ id, marks: [...state.marks].filter((mark) => mark >= time && mark <= timestampMs).length });
          state.items.delete(id);
        }
        state.marks.update([...state.marks].filter((mark) => mark > timestampMs - withinMs));
      },
    })
    .uid('connected')
    .to(files.jsonl(`${output}/connected`));
  items
    .keyBy((item) => item.group)
    .connect(rules.broadcast())
    .process(emits<{ group: number; rule: number }>(), {
      broadcastState: { rules: mapState<number, Rule>() },
      state: { spent: valueState<number>() },
      onRecord({ amount }, { key, state, broadcastState, emit }) {
        const before = state.spent.value() ?? 0;
        state.spent.update(before + amount);
        for (const [rule, { limit }] of broadcastState.rules.entries()) {
          if (before <= limit && before + amount > limit) emit({ group: key, rule });
        }
      },
      onBroadcast(rule, { broadcastState, forEachKey, emit }) {
        broadcastState.rules.set(rule.rule, rule);
        forEachKey('spent', (group, spent) => {
          if ((spent.value() ?? 0) > rule.limit) emit({ group, rule: rule.rule });
        });
      },
    })
    .uid('alerts')
    .to(files.jsonl(`${output}/alerts`));
}
