import { expect, test } from 'vitest';
import { isLegalJobMove, isTerminal, jobStates, moveJob } from './job-state.ts';

/** FLINK-20626: from every state a cancel reaches a terminal one. */
test('a job can be canceled from every state that is not terminal', () => {
  for (const state of jobStates) {
    if (isTerminal(state)) continue;
    const direct = isLegalJobMove(state, 'canceled');
    const viaCanceling = state === 'canceling' || isLegalJobMove(state, 'canceling');
    expect(direct || (viaCanceling && isLegalJobMove('canceling', 'canceled')), state).toBe(true);
  }
});

/** FLINK-10011: a job that has ended is never run again. */
test('a terminal state is final', () => {
  const terminal = jobStates.filter(isTerminal);
  expect(terminal).toEqual(['finished', 'failed', 'canceled', 'stopped']);
  for (const from of terminal) for (const to of jobStates) expect(() => moveJob(from, to)).toThrowError(/moves from/);
});
