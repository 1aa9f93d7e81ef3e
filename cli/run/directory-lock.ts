/**
 * One process at a time in a state directory. `<directory>/lock/` holds one claim file for each process that holds or
 * wants the lock. A process first writes its own claim, then reads the others: of any two, at least the later one sees
 * the other, so never both go on. Claim names are unique, so removing the claim of a dead process can never hit a live
 * one, which is what makes take-over after a SIGKILL free of races.
 */
import { randomUUID } from 'node:crypto';
import { readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { EngineError } from '../../core/errors.ts';

/** Who a claim belongs to. A pid alone is reused; with its start time and boot it names one process for ever. */
export interface LockClaim {
  readonly pid: number;
  /** Clock ticks after boot (`/proc/<pid>/stat`), empty where the system does not tell. */
  readonly startTime: string;
  readonly bootId: string;
  /** Pids mean something only within one namespace; containers have their own. */
  readonly pidNamespace: string;
  readonly host: string;
}

/** What the deciding process can see of itself and of a claim's process. */
export interface ClaimView {
  readonly self: LockClaim;
  /** Start time of the process that now has the claim's pid; null when there is none. */
  startTimeOf(pid: number): string | null;
}

export type ClaimVerdict = 'alive' | 'dead' | 'unknown';

/**
 * Whether the process behind a claim still runs. `unknown` when it may run where we cannot look: another machine or
 * another container.
 */
export function judgeClaim(claim: LockClaim, view: ClaimView): ClaimVerdict {
  const { self } = view;
  if (claim.bootId !== self.bootId) return claim.host === self.host ? 'dead' : 'unknown';
  if (claim.pidNamespace !== self.pidNamespace) return 'unknown';
  const startTime = view.startTimeOf(claim.pid);
  if (startTime === null) return 'dead';
  return startTime === claim.startTime ? 'alive' : 'dead';
}

export interface DirectoryLock {
  /** Gives the directory free. Synchronous, so that an exit handler can call it; more than once is allowed. */
  release(): void;
}

/** Two processes that start in the same instant both withdraw; each then tries again after a while of its own. */
const attemptsMax = 8;
const pauseMaxMs = 60;

/**
 * Takes the lock of a state directory.
 * @throws EngineError STATE_DIRECTORY_IN_USE naming the process that has it
 */
export async function acquireDirectoryLock(directory: string): Promise<DirectoryLock> {
  const folder = join(directory, 'lock');
  await mkdir(folder, { recursive: true });
  for (let attempt = 1; ; attempt++) {
    const path = await writeClaim(folder);
    const rival = firstRival(folder, path);
    if (rival === null) return { release: () => rmSync(path, { force: true }) };
    await rm(path, { force: true });
    if (attempt === attemptsMax) throw inUse(directory, rival);
    await delay(Math.random() * pauseMaxMs);
  }
}

async function writeClaim(folder: string): Promise<string> {
  const name = randomUUID();
  const path = join(folder, `${name}.claim`);
  const temporary = join(folder, `${name}.tmp`);
  await writeFile(temporary, `${JSON.stringify(claimOf(process.pid))}\n`, { flag: 'wx' });
  // A claim is whole as soon as it can be seen.
  await rename(temporary, path);
  return path;
}

interface Rival {
  readonly path: string;
  readonly claim: LockClaim;
  readonly verdict: ClaimVerdict;
}

/** The first other claim that is not dead; removes dead ones. */
function firstRival(folder: string, ownPath: string): Rival | null {
  const view: ClaimView = { self: claimOf(process.pid), startTimeOf };
  let rival: Rival | null = null;
  for (const name of readdirSync(folder)) {
    const path = join(folder, name);
    if (path === ownPath || !name.endsWith('.claim')) continue;
    const claim = readClaim(path);
    if (claim === null) continue;
    const verdict = judgeClaim(claim, view);
    if (verdict === 'dead') rmSync(path, { force: true });
    else rival ??= { path, claim, verdict };
  }
  return rival;
}

function readClaim(path: string): LockClaim | null {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as LockClaim;
  } catch (error) {
    // Withdrawn between listing and reading.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    const message = `the lock file ${path} cannot be read → remove it if no run uses the directory`;
    throw new EngineError('STATE_DIRECTORY_IN_USE', message, { ids: { file: path }, cause: error });
  }
}

function inUse(directory: string, { claim, path, verdict }: Rival): EngineError {
  const ids = { directory, pid: claim.pid, host: claim.host };
  if (verdict === 'alive') {
    const message = `the state directory ${directory} is in use by process ${claim.pid} → wait for it or stop it (kill -INT ${claim.pid}), or name another directory`;
    return new EngineError('STATE_DIRECTORY_IN_USE', message, { ids });
  }
  const message = `the state directory ${directory} is in use by process ${claim.pid} on ${claim.host}, another machine or container → stop that run; if it is gone, remove ${path}`;
  return new EngineError('STATE_DIRECTORY_IN_USE', message, { ids });
}

function claimOf(pid: number): LockClaim {
  return {
    pid,
    startTime: startTimeOf(pid) ?? '',
    bootId: readOr('/proc/sys/kernel/random/boot_id', ''),
    pidNamespace: linkOr('/proc/self/ns/pid', ''),
    host: hostname(),
  };
}

/** Start time of a process in clock ticks after boot; '' where there is no /proc; null when no such process runs. */
function startTimeOf(pid: number): string | null {
  const stat = readOr(`/proc/${pid}/stat`, null);
  if (stat !== null) {
    // The command may hold blanks and brackets; fields are counted after its last one. Field 3 is the state, 22 the start.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' || fields[0] === 'X' ? null : (fields[19] ?? '');
  }
  return process.platform !== 'linux' && processExists(pid) ? '' : null;
}

function processExists(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // Not allowed to signal it means that it exists.
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

function readOr<T>(path: string, otherwise: T): string | T {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    // Absent on this system or no such process: the caller says what that means.
    return otherwise;
  }
}

function linkOr(path: string, otherwise: string): string {
  try {
    return readlinkSync(path);
  } catch {
    // No /proc on this system; then there is one namespace only.
    return otherwise;
  }
}
