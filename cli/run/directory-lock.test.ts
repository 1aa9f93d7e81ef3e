import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync, writeFileSync, mkdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { acquireDirectoryLock, type ClaimView, judgeClaim, type LockClaim } from './directory-lock.ts';

const self: LockClaim = { pid: 10, startTime: '100', bootId: 'boot', pidNamespace: 'pid:[1]', host: 'here' };
const view = (running: Readonly<Record<number, string>>): ClaimView => ({
  self,
  startTimeOf: (pid) => running[pid] ?? null,
});

describe('judgeClaim', () => {
  const claim: LockClaim = { ...self, pid: 20, startTime: '200' };

  test('finds a claim alive when its process runs', () => {
    expect(judgeClaim(claim, view({ 20: '200' }))).toBe('alive');
  });

  test('finds a claim dead when no process has its pid', () => {
    expect(judgeClaim(claim, view({}))).toBe('dead');
  });

  test('finds a claim dead when its pid was given to a later process', () => {
    expect(judgeClaim(claim, view({ 20: '999' }))).toBe('dead');
  });

  test('finds a claim dead when this machine was started again since', () => {
    expect(judgeClaim({ ...claim, bootId: 'earlier' }, view({ 20: '200' }))).toBe('dead');
  });

  test('cannot judge a claim when it is of another machine', () => {
    expect(judgeClaim({ ...claim, bootId: 'other', host: 'there' }, view({}))).toBe('unknown');
  });

  test('cannot judge a claim when it is of another container', () => {
    expect(judgeClaim({ ...claim, pidNamespace: 'pid:[2]' }, view({}))).toBe('unknown');
  });
});

describe('acquireDirectoryLock', () => {
  let directory: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'millrace-lock-'));
  });
  afterEach(() => rmSync(directory, { recursive: true, force: true }));

  /** A claim file as the process `pid` would have left it. */
  function plantClaim(changes: Partial<LockClaim>, own: LockClaim): void {
    writeFileSync(join(directory, 'lock', 'planted.claim'), JSON.stringify({ ...own, ...changes }));
  }

  async function ownClaim(): Promise<LockClaim> {
    const lock = await acquireDirectoryLock(directory);
    const [name] = readdirSync(join(directory, 'lock'));
    const claim = JSON.parse(readFileSync(join(directory, 'lock', name as string), 'utf8')) as LockClaim;
    lock.release();
    return claim;
  }

  test('is free again when it was released', async () => {
    (await acquireDirectoryLock(directory)).release();
    const lock = await acquireDirectoryLock(directory);
    expect(readdirSync(join(directory, 'lock'))).toHaveLength(1);
    lock.release();
    lock.release();
    expect(readdirSync(join(directory, 'lock'))).toEqual([]);
  });

  test('names the pid when another holds it', async () => {
    const lock = await acquireDirectoryLock(directory);
    await expect(acquireDirectoryLock(directory)).rejects.toMatchObject({
      code: 'STATE_DIRECTORY_IN_USE',
      ids: { pid: process.pid },
    });
    lock.release();
  });

  test('is taken over at once when its holder was killed', async () => {
    const own = await ownClaim();
    const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)']);
    await once(child, 'spawn');
    const stat = process.platform === 'linux' ? readFileSync(`/proc/${child.pid}/stat`, 'utf8') : '';
    const startTime = stat === '' ? '' : (stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] as string);
    plantClaim({ pid: child.pid as number, startTime }, own);
    await expect(acquireDirectoryLock(directory)).rejects.toMatchObject({
      code: 'STATE_DIRECTORY_IN_USE',
      ids: { pid: child.pid },
    });
    child.kill('SIGKILL');
    await once(child, 'exit');
    const lock = await acquireDirectoryLock(directory);
    expect(readdirSync(join(directory, 'lock'))).toHaveLength(1);
    lock.release();
  });

  test('says which file to remove when the holder is on another machine', async () => {
    const own = await ownClaim();
    mkdirSync(join(directory, 'lock'), { recursive: true });
    plantClaim({ host: 'elsewhere', bootId: 'other' }, own);
    await expect(acquireDirectoryLock(directory)).rejects.toThrow(/elsewhere.*planted\.claim/s);
  });

  test('goes to one of two when both want it at the same time', async () => {
    for (let round = 0; round < 4; round++) {
      const both = await Promise.allSettled([acquireDirectoryLock(directory), acquireDirectoryLock(directory)]);
      const held = both.filter((result) => result.status === 'fulfilled');
      expect(held.length).toBeLessThanOrEqual(1);
      for (const result of held) result.value.release();
    }
  });
});
