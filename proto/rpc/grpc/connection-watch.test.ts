import { expect, test } from 'vitest';
import {
  type ConnectionAction,
  type ConnectionEvent,
  type ConnectionState,
  newConnection,
  stepConnection,
} from './connection-watch.ts';

function run(events: readonly ConnectionEvent[]): { state: ConnectionState; actions: readonly ConnectionAction[] } {
  let state = newConnection;
  let actions: readonly ConnectionAction[] = [];
  for (const event of events) ({ state, actions } = stepConnection(state, event));
  return { state, actions };
}

const opened = { kind: 'opened' } as const;
const ready = { kind: 'ready' } as const;
const broken = { kind: 'broken' } as const;
const lost = (reason: string) => expect.objectContaining({ kind: 'lost', reason: expect.stringContaining(reason) });

test('a peer is lost when its connection broke and a new one is refused', () => {
  const { actions, state } = run([opened, ready, broken, { kind: 'probed', generation: 2, result: 'refused' }]);
  expect(actions).toContainEqual(lost('refuses'));
  expect(state.phase).toBe('lost');
});

test('a peer is lost when no connection stands within the deadline, though somebody listens', () => {
  const { actions } = run([
    opened,
    ready,
    broken,
    { kind: 'probed', generation: 2, result: 'reachable' },
    { kind: 'pause-over', generation: 2 },
    { kind: 'deadline-passed', generation: 2 },
  ]);
  expect(actions).toContainEqual(lost('no connection within'));
});

test('a peer is lost when the first connection is refused', () => {
  const { actions } = run([opened, { kind: 'attempt-failed' }, { kind: 'probed', generation: 1, result: 'refused' }]);
  expect(actions).toContainEqual(lost('refuses'));
});

test('a peer is not lost when the connection is made again in time', () => {
  const { actions, state } = run([
    opened,
    ready,
    broken,
    { kind: 'probed', generation: 2, result: 'unreachable' },
    ready,
    { kind: 'deadline-passed', generation: 2 },
    { kind: 'probed', generation: 2, result: 'refused' },
  ]);
  expect(actions).toEqual([]);
  expect(state.phase).toBe('ready');
});

test('a timer or probe of an earlier try is not listened to', () => {
  const { actions, state } = run([
    opened,
    ready,
    broken,
    ready,
    broken,
    { kind: 'deadline-passed', generation: 2 },
    { kind: 'probed', generation: 2, result: 'refused' },
  ]);
  expect(actions).toEqual([]);
  expect(state).toMatchObject({ phase: 'connecting', generation: 3 });
});

test('a closed connection tells nothing any more', () => {
  const { actions } = run([opened, ready, { kind: 'closed' }, broken, { kind: 'deadline-passed', generation: 1 }]);
  expect(actions).toEqual([]);
});

test('only one probe runs at a time', () => {
  const first = run([opened, { kind: 'attempt-failed' }]);
  expect(first.actions).toEqual([{ kind: 'probe', generation: 1 }]);
  expect(run([opened, { kind: 'attempt-failed' }, { kind: 'attempt-failed' }]).actions).toEqual([]);
});
