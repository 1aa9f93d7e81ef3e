import { expect, test } from 'vitest';
import { LocalDirectoryStore } from '../storage/local-directory.ts';
import { MemoryFileSystem } from '../storage/memory-file-system.test-support.ts';
import { LocalLeadership } from './local-leadership.ts';
import { LocalJobStore } from './store/local-job-store.ts';

async function bench(): Promise<{ start: (log: string[]) => LocalLeadership }> {
  const files = new MemoryFileSystem();
  await files.makeDirectory('/state');
  await files.syncDirectory('/');
  const open = (): LocalJobStore =>
    new LocalJobStore({ directory: '/state', objects: new LocalDirectoryStore('/state', files), files });
  const start = (log: string[]): LocalLeadership => {
    const lock = async () => ({ release: () => void log.push('released') });
    return new LocalLeadership({ address: 'here:1', store: open(), lock });
  };
  return { start };
}

test('a job manager on a local directory leads at once, in a later epoch after each start', async () => {
  const { start } = await bench();
  const epochs: number[] = [];
  for (let round = 0; round < 3; round++) {
    const leadership = start([]);
    expect(leadership.current()).toBeNull();
    await leadership.start({ onLeader: (epoch) => epochs.push(epoch), onLost: () => undefined });
    expect(leadership.current()).toEqual({ address: 'here:1', epoch: epochs.at(-1), isSelf: true });
    await leadership.resign();
  }
  expect(epochs).toEqual([1, 2, 3]);
});

test('the directory is given free only after everything has stepped down', async () => {
  const { start } = await bench();
  const log: string[] = [];
  const leadership = start(log);
  const onLost = async (reason: string): Promise<void> => {
    await Promise.resolve();
    log.push(reason);
  };
  await leadership.start({ onLeader: () => undefined, onLost });
  await Promise.all([leadership.resign(), leadership.resign()]);
  expect(log).toEqual(['it resigned', 'released']);
  expect(leadership.current()).toBeNull();
});
