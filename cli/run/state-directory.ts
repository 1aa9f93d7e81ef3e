/**
 * The state directory of a run on this machine: one job's graph, artifact and checkpoints, and the lock of the process
 * that runs it.
 *
 *     <directory>/millrace.json     what this directory is; replaced as a whole, written last
 *                 lock/             claims of running processes
 *                 graphs/           job graphs by hash
 *                 artifacts/        bundled jobs by hash, and their localized copies
 *                 storage/          root of the object store: checkpoints, pointer
 *
 * What may be done with what is found is decided in `state-directory-rules.ts`. Order matters for crashes: deleting is
 * announced in `millrace.json` before it begins, and `millrace.json` names a file only once it is there.
 */
import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, rm, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { EngineError } from '../../core/errors.ts';
import {
  describeGraphDifference,
  describeParameterDifference,
  type FunctionsFingerprint,
} from '../../core/graph/graph-hash.ts';
import type { JobGraph } from '../../core/graph/job-graph.ts';
import { compareState } from '../../core/graph/state-compatibility.ts';
import { canonicalJson, type JsonValue } from '../../core/plain-data.ts';
import { replaceFile } from '../../storage/durable-file.ts';
import { acquireDirectoryLock, type DirectoryLock } from './directory-lock.ts';
import {
  type DirectoryContent,
  type DirectoryIdentity,
  type DirectoryPhase,
  decideStart,
  parseIdentity,
  type StartDecision,
  stateDirectoryFormatVersion,
} from './state-directory-rules.ts';

/** The job as it would run now. */
export interface DirectoryJob {
  readonly graph: JobGraph;
  readonly graphHash: string;
  readonly functionsFingerprint: FunctionsFingerprint;
  readonly artifact: { readonly code: Uint8Array; readonly sha256: string };
  readonly engineVersion: string;
  /** Used for a fresh start; a resumed job keeps the one it was started in. */
  readonly workingDirectory: string;
}

export interface OpenOptions {
  readonly fresh: boolean;
  /** Go on with a changed graph where the state means the same to it. */
  readonly upgrade: boolean;
  /** Makes sure that no results of an earlier run are in the way; called before a start from the beginning. */
  prepareOutputs(workingDirectory: string): Promise<void>;
}

const ownFolders = ['graphs', 'artifacts', 'storage'] as const;
const ownNames: readonly string[] = [...ownFolders, 'lock', 'millrace.json'];
const identityName = 'millrace.json';

/** An opened state directory; holds the lock until `close`. */
export class StateDirectory {
  readonly directory: string;
  /** False for a start from the beginning. */
  readonly resume: boolean;
  /** What is allowed to change between two runs, and did: functions, parameters, an upgraded graph. One line each. */
  readonly changes: readonly string[];
  readonly #lock: DirectoryLock;
  #identity: DirectoryIdentity;

  constructor(
    directory: string,
    start: { resume: boolean; changes: readonly string[]; identity: DirectoryIdentity; lock: DirectoryLock },
  ) {
    this.directory = directory;
    this.resume = start.resume;
    this.changes = start.changes;
    this.#identity = start.identity;
    this.#lock = start.lock;
  }

  /** Root of the object store. */
  get storageDirectory(): string {
    return join(this.directory, 'storage');
  }

  get artifactPath(): string {
    return join(this.directory, this.#identity.artifact.name);
  }

  /** Hashes of earlier graphs whose state this run may go on from. */
  get restorableGraphHashes(): readonly string[] {
    return this.#identity.restorableGraphHashes ?? [];
  }

  get workingDirectory(): string {
    return this.#identity.workingDirectory;
  }

  /** Records where the run stands; a finished job is never run again by mistake. */
  async recordPhase(phase: DirectoryPhase): Promise<void> {
    this.#identity = { ...this.#identity, phase };
    await writeIdentity(this.directory, this.#identity);
  }

  /** Gives the directory free. Synchronous, so that an exit handler can call it. */
  close(): void {
    this.#lock.release();
  }
}

/**
 * Opens the state directory for a job: takes its lock, decides, clears what has to go and writes down what will run.
 * @returns null when the job of this directory has already finished
 * @throws EngineError STATE_DIRECTORY_IN_USE, STATE_DIRECTORY_FOREIGN, STATE_DIRECTORY_VERSION, GRAPH_CHANGED, and what
 * `prepareOutputs` throws
 */
export async function openStateDirectory(
  path: string,
  job: DirectoryJob,
  options: OpenOptions,
): Promise<StateDirectory | null> {
  const directory = resolve(path);
  await requireUsable(directory);
  const lock = await acquireDirectoryLock(directory);
  try {
    const opened = await openLocked(directory, job, options, lock);
    if (opened === null) lock.release();
    return opened;
  } catch (error) {
    lock.release();
    throw error;
  }
}

/** Before the lock folder is put into it: nothing is written into a directory that is not ours. */
async function requireUsable(directory: string): Promise<void> {
  const found = await stat(directory).catch(() => null);
  if (found !== null && !found.isDirectory()) {
    throw new EngineError('STATE_DIRECTORY_FOREIGN', `${directory} is not a directory → name another --state-dir`, {
      ids: { directory },
    });
  }
  const content = found === null ? null : await readContent(directory);
  if (content?.kind === 'foreign') throw foreignError(directory, content.names);
  try {
    await mkdir(directory, { recursive: true, mode: 0o700 });
  } catch (cause) {
    const message = `the state directory ${directory} cannot be made: ${String((cause as Error).message)} → name a writable place with --state-dir`;
    throw new EngineError('STORAGE_FAILED', message, { domain: 'external', ids: { directory }, cause });
  }
}

function foreignError(directory: string, names: readonly string[]): EngineError {
  const wanted = { directory, jobName: '', graphHash: '', functionsFingerprint: {}, fresh: false, upgrade: false };
  const decision = decideStart({ kind: 'foreign', names }, wanted, () => ({ differences: [], state: null }));
  if (decision.kind !== 'refuse')
    throw new EngineError('INTERNAL', 'a foreign directory was not refused', { domain: 'internal' });
  return decision.error;
}

async function openLocked(
  directory: string,
  job: DirectoryJob,
  options: OpenOptions,
  lock: DirectoryLock,
): Promise<StateDirectory | null> {
  const content = await readContent(directory);
  const stored = content.kind === 'identity' ? content.identity : null;
  const storedGraph = stored === null ? null : await readGraph(directory, stored);
  const decision = decide(directory, content, storedGraph, job, options);
  switch (decision.kind) {
    case 'refuse':
      throw decision.error;
    case 'already-finished':
      return null;
    case 'start': {
      if (decision.clear && stored !== null) await clearState(directory, stored);
      await options.prepareOutputs(job.workingDirectory);
      const identity = await writeJob(directory, job, job.workingDirectory, []);
      return new StateDirectory(directory, { resume: false, changes: [], identity, lock });
    }
    case 'resume': {
      const identity = await writeJob(
        directory,
        job,
        stored?.workingDirectory ?? job.workingDirectory,
        decision.restorableGraphHashes,
      );
      const parameters = storedGraph === null ? [] : describeParameterDifference(storedGraph, job.graph);
      return new StateDirectory(directory, {
        resume: true,
        changes: [...decision.changes, ...parameters],
        identity,
        lock,
      });
    }
  }
}

function decide(
  directory: string,
  content: DirectoryContent,
  storedGraph: JobGraph | null,
  job: DirectoryJob,
  { fresh, upgrade }: OpenOptions,
): StartDecision {
  const { graphHash, functionsFingerprint } = job;
  const wanted = { directory, jobName: job.graph.name, graphHash, functionsFingerprint, fresh, upgrade };
  return decideStart(content, wanted, () => {
    if (storedGraph === null) {
      const unknown = `what differs cannot be told: the stored graph below ${join(directory, 'graphs')} is missing or damaged`;
      return { differences: [unknown], state: null };
    }
    const differences = describeGraphDifference(storedGraph, job.graph);
    const known = differences.length > 0 ? differences : ['it was planned by another version of the engine'];
    return { differences: known, state: compareState(storedGraph, job.graph) };
  });
}

/** What a state directory holds; reads only. */
export async function readContent(directory: string): Promise<DirectoryContent> {
  const names = await readdir(directory);
  if (names.includes(identityName)) return parseIdentity(await readFile(join(directory, identityName), 'utf8'));
  const foreign = names.filter((name) => !ownNames.includes(name) && !isTemporary(name));
  if (foreign.length > 0) return { kind: 'foreign', names: foreign };
  // Graphs and artifacts are written before the identity: a first start that crashed leaves them, and no state.
  const storage = await readdir(join(directory, 'storage')).catch(() => []);
  return storage.length > 0 ? { kind: 'headless' } : { kind: 'empty' };
}

/** Left behind by a crash while `millrace.json` was being replaced. */
function isTemporary(name: string): boolean {
  return name.startsWith('.');
}

/** The graph the state was made by; null when its file is gone or damaged, which only costs words in a message. */
export async function readGraph(directory: string, identity: DirectoryIdentity): Promise<JobGraph | null> {
  const text = await readFile(join(directory, identity.graph.name), 'utf8').catch(() => null);
  if (text === null || sha256(text) !== identity.graph.sha256) return null;
  return JSON.parse(text) as JobGraph;
}

/** Deletes what earlier runs left, and only what is the engine's. Results are not here; sinks clear their own. */
async function clearState(directory: string, identity: DirectoryIdentity): Promise<void> {
  await writeIdentity(directory, { ...identity, phase: 'clearing' });
  for (const folder of ownFolders) await rm(join(directory, folder), { recursive: true, force: true });
}

/** Writes graph and artifact, then the identity that names them, then removes those it named before. */
async function writeJob(
  directory: string,
  job: DirectoryJob,
  workingDirectory: string,
  restorableGraphHashes: readonly string[],
): Promise<DirectoryIdentity> {
  for (const folder of ownFolders) await mkdir(join(directory, folder), { recursive: true, mode: 0o700 });
  const graphText = canonicalJson(job.graph as unknown as JsonValue);
  const graph = { name: `graphs/${sha256(graphText).slice(0, 16)}.json`, sha256: sha256(graphText) };
  const artifact = { name: `artifacts/${job.artifact.sha256}.mjs`, sha256: job.artifact.sha256 };
  await replaceFile(join(directory, graph.name), Buffer.from(graphText, 'utf8'));
  await replaceFile(join(directory, artifact.name), job.artifact.code);
  const identity: DirectoryIdentity = {
    formatVersion: stateDirectoryFormatVersion,
    engineVersion: job.engineVersion,
    jobName: job.graph.name,
    graphHash: job.graphHash,
    restorableGraphHashes,
    graph,
    functionsFingerprint: job.functionsFingerprint,
    artifact,
    workingDirectory,
    phase: 'active',
  };
  await writeIdentity(directory, identity);
  await removeOthers(join(directory, 'graphs'), graph.name);
  await removeOthers(join(directory, 'artifacts'), artifact.name);
  return identity;
}

/** Removes what a folder holds of earlier artifacts or graphs; localized copies of the one in use stay. */
async function removeOthers(folder: string, keptName: string): Promise<void> {
  const kept = keptName.slice(keptName.indexOf('/') + 1).replace(/\.[^.]*$/, '');
  for (const name of await readdir(folder)) {
    if (!name.startsWith(kept)) await rm(join(folder, name), { recursive: true, force: true });
  }
}

async function writeIdentity(directory: string, identity: DirectoryIdentity): Promise<void> {
  await replaceFile(join(directory, identityName), Buffer.from(`${JSON.stringify(identity, null, 2)}\n`, 'utf8'));
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
