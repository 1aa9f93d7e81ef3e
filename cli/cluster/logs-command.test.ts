import { expect, test } from 'vitest';
import { EngineError } from '../../core/errors.ts';
import type { LogLine } from '../../proto/client-messages.ts';
import { Terminal } from '../output/terminal.ts';
import { showLogs } from './logs-command.ts';

const line = (text: string, taskManagerId: string | null = 'tm'): LogLine => {
  return { timeMs: 0, level: 'info', taskManagerId, jobId: 'job.1', text };
};
const notLeader = new EngineError('NOT_LEADER', 'it leads no more', { retry: 'backoff' });

/** Shows the log of a cluster that says these lines at each connection; an error cuts it off. */
async function shown(
  connections: readonly (readonly (LogLine | EngineError)[])[],
  options: { follow?: boolean; json?: boolean } = {},
): Promise<{ readonly out: string[]; readonly err: string; readonly asked: number[] }> {
  const out: string[] = [];
  let err = '';
  const asked: number[] = [];
  const terminal = new Terminal(
    { write: (text) => out.push(text.trimEnd()) },
    { write: (text) => (err += text) },
    { quiet: false },
  );
  async function* logs({ lines = 0 }: { readonly lines?: number } = {}): AsyncGenerator<LogLine> {
    asked.push(lines);
    for (const one of connections[asked.length - 1] ?? []) {
      if (one instanceof EngineError) throw one;
      yield one;
    }
  }
  const query = { job: null, taskManagerId: null, lines: 10, follow: true, json: false, ...options };
  await showLogs({ logs }, query, terminal, new AbortController().signal, 0);
  return { out, err, asked };
}

test('lines say when, who and what about, without control characters of what was logged', async () => {
  const { out } = await shown([[line('red \u001b[31m'), line('x', null)]]);
  expect(out).toEqual([
    '1970-01-01T00:00:00.000Z info task manager tm [job.1] red �[31m',
    '1970-01-01T00:00:00.000Z info job manager [job.1] x',
  ]);
});

test('lines are JSON objects when they are asked for so', async () => {
  const { out } = await shown([[line('a')]], { json: true });
  expect(out.map((text) => JSON.parse(text) as unknown)).toEqual([line('a')]);
});

test('a follower goes on at the next leader without a line twice, and keeps what was logged twice', async () => {
  const { out, err, asked } = await shown([
    [line('a'), line('a'), line('b'), notLeader],
    [new EngineError('CLUSTER_UNAVAILABLE', 'nobody listens')],
    [line('0'), line('a'), line('a'), line('b'), line('b'), notLeader],
    [line('a'), line('b'), line('c')],
  ]);
  expect(out.map((text) => text.at(-1))).toEqual(['a', 'a', 'b', '0', 'b', 'c']);
  expect(err).toContain('it leads no more');
  expect(err.trim().split('\n')).toHaveLength(2);
  expect(asked).toEqual([10, 1_000, 1_000, 1_000]);
});

test('a log that is not followed, or cannot be read, is an error', async () => {
  await expect(shown([[notLeader]], { follow: false })).rejects.toMatchObject({ code: 'NOT_LEADER' });
  await expect(shown([[new EngineError('JOB_NOT_FOUND', 'none')]])).rejects.toMatchObject({ code: 'JOB_NOT_FOUND' });
});
