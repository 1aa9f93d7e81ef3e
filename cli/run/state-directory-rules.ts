/**
 * What may be done with a state directory, as pure decisions. A wrong one loses state or delivers results twice, so
 * nothing here reads a file: the shell (`state-directory.ts`) reads, asks, and does what the answer says.
 */
import { EngineError } from '../../core/errors.ts';
import type { StateVerdict } from '../../core/graph/state-compatibility.ts';
import { describeFunctionDifference, type FunctionsFingerprint } from '../../core/graph/graph-hash.ts';

export const stateDirectoryFormatVersion = 1;

/** Where a run in this directory stands. `clearing` is written before anything is deleted, so a crash half-way shows. */
export type DirectoryPhase = 'active' | 'clearing' | 'finished' | 'stopped' | 'failed' | 'canceled';

const directoryPhases: readonly string[] = [
  'active',
  'clearing',
  'finished',
  'stopped',
  'failed',
  'canceled',
] satisfies DirectoryPhase[];

/** Content of `millrace.json`, written only by replacing the whole file. */
export interface DirectoryIdentity {
  readonly formatVersion: number;
  readonly engineVersion: string;
  readonly jobName: string;
  readonly graphHash: string;
  /** Hashes of earlier graphs of the job that its newest checkpoint may have been taken by, newest last. */
  readonly restorableGraphHashes?: readonly string[];
  /** File of the graph, relative to the directory. */
  readonly graph: { readonly name: string; readonly sha256: string };
  readonly functionsFingerprint: FunctionsFingerprint;
  readonly artifact: { readonly name: string; readonly sha256: string };
  /** What relative paths in the job's options are resolved against, for as long as the state lives. */
  readonly workingDirectory: string;
  readonly phase: DirectoryPhase;
}

/** What the shell found: the identity, or why there is none. */
export type DirectoryContent =
  | { readonly kind: 'empty' }
  /** Files that are not the engine's, by name, and no identity. */
  | { readonly kind: 'foreign'; readonly names: readonly string[] }
  /** State without an identity: it was deleted or never written. */
  | { readonly kind: 'headless' }
  | { readonly kind: 'unreadable'; readonly reason: string }
  | { readonly kind: 'newer'; readonly formatVersion: number; readonly engineVersion: string }
  | { readonly kind: 'identity'; readonly identity: DirectoryIdentity };

export interface WantedRun {
  readonly directory: string;
  readonly jobName: string;
  readonly graphHash: string;
  readonly functionsFingerprint: FunctionsFingerprint;
  /** `--fresh`: drop the state and the results of earlier runs. */
  readonly fresh: boolean;
  /** `--upgrade`: go on with a changed graph where the state means the same to it. */
  readonly upgrade: boolean;
}

/** How the stored graph differs from the wanted one. */
export interface GraphChange {
  /** In words. */
  readonly differences: readonly string[];
  /** Null when the stored graph cannot be read. */
  readonly state: readonly StateVerdict[] | null;
}

/** Earlier graphs whose checkpoint may still be the newest; a longer chain of changes without a checkpoint is not kept. */
const restorableGraphHashesMax = 32;

export type StartDecision =
  /** Begin at the beginning of the input. `clear`: delete what an earlier run left in the directory first. */
  | { readonly kind: 'start'; readonly clear: boolean }
  /**
   * Go on from the newest checkpoint. `changes`: lines for what is not as it was and is allowed to differ: texts of
   * functions, and with `--upgrade` the graph.
   */
  | { readonly kind: 'resume'; readonly changes: readonly string[]; readonly restorableGraphHashes: readonly string[] }
  | { readonly kind: 'already-finished' }
  | { readonly kind: 'refuse'; readonly error: EngineError };

/**
 * What a run has to do with what it found in its state directory.
 * @param change how the stored graph differs from the wanted one; asked only when the hashes differ
 */
export function decideStart(found: DirectoryContent, wanted: WantedRun, change: () => GraphChange): StartDecision {
  switch (found.kind) {
    case 'empty':
      return { kind: 'start', clear: false };
    case 'identity':
      return decideWithIdentity(found.identity, wanted, change);
    case 'foreign':
      return refuse('STATE_DIRECTORY_FOREIGN', wanted, foreignText(found.names), 'name an empty or new directory');
    case 'headless':
      return refuse('STATE_DIRECTORY_FOREIGN', wanted, 'holds state, but its millrace.json is missing', removeItself);
    case 'unreadable':
      return refuse(
        'STATE_DIRECTORY_FOREIGN',
        wanted,
        `has an unreadable millrace.json (${found.reason})`,
        removeItself,
      );
    case 'newer':
      return refuse(
        'STATE_DIRECTORY_VERSION',
        wanted,
        newerText(found),
        'run it with that version or a later one, or name another directory',
      );
  }
}

const removeItself =
  'restore that file, or name another directory; to give the state up, remove the directory yourself';

function foreignText(names: readonly string[]): string {
  const shown = names.slice(0, 3).join(', ');
  return `is not a state directory of millrace: it holds ${shown}${names.length > 3 ? ', …' : ''}`;
}

function newerText(found: { formatVersion: number; engineVersion: string }): string {
  return `was written by millrace ${found.engineVersion} in format ${found.formatVersion}; this version reads up to format ${stateDirectoryFormatVersion}`;
}

function decideWithIdentity(identity: DirectoryIdentity, wanted: WantedRun, change: () => GraphChange): StartDecision {
  if (identity.jobName !== wanted.jobName) {
    const what = `belongs to the job ${identity.jobName}, not to ${wanted.jobName}`;
    return refuse('STATE_DIRECTORY_FOREIGN', wanted, what, 'give each job a state directory of its own');
  }
  // Half-deleted state must never be restored, whatever is asked.
  if (wanted.fresh || identity.phase === 'clearing') return { kind: 'start', clear: true };
  const changedFunctions = describeFunctionDifference(identity.functionsFingerprint, wanted.functionsFingerprint);
  const restorable = identity.restorableGraphHashes ?? [];
  if (identity.graphHash !== wanted.graphHash) {
    const found = change();
    const refusal = changedGraphRefusal(wanted, found);
    if (refusal !== null) return refusal;
    if (identity.phase === 'finished') return { kind: 'already-finished' };
    return {
      kind: 'resume',
      changes: [...found.differences, ...changedFunctions],
      restorableGraphHashes: [...restorable, identity.graphHash].slice(-restorableGraphHashesMax),
    };
  }
  if (identity.phase === 'finished') return { kind: 'already-finished' };
  return { kind: 'resume', changes: changedFunctions, restorableGraphHashes: restorable };
}

/** Null when the run was told to go on with a changed graph and all state can be restored. */
function changedGraphRefusal(wanted: WantedRun, { differences, state }: GraphChange): StartDecision | null {
  const refused = state?.filter(({ verdict }) => verdict === 'refused') ?? [];
  const possible = state !== null && refused.length === 0;
  if (wanted.upgrade && possible) return null;
  const texts = wanted.upgrade && state !== null ? refused.map(refusedText) : differences;
  const lines = texts.map((text) => `\n  - ${text}`).join('');
  const what = wanted.upgrade
    ? `the state of the job ${wanted.jobName} cannot be taken over by its changed graph:`
    : `the graph of the job ${wanted.jobName} is not the one its state was made by:`;
  const remedy = possible
    ? 'all its state can be taken over: go on with --upgrade (millrace plan --from shows what becomes of it), or undo the change'
    : 'undo the change, name another --state-dir, or drop state and results with --fresh';
  const error = new EngineError('GRAPH_CHANGED', `${what}${lines}\n→ ${remedy}`, {
    ids: { directory: wanted.directory },
  });
  return { kind: 'refuse', error };
}

/** A verdict in words. */
export function refusedText({ operatorId, reason }: StateVerdict): string {
  return `operator '${operatorId}': ${reason ?? 'it can be restored'}`;
}

function refuse(
  code: 'STATE_DIRECTORY_FOREIGN' | 'STATE_DIRECTORY_VERSION',
  wanted: WantedRun,
  what: string,
  remedy: string,
): StartDecision {
  const error = new EngineError(code, `the state directory ${wanted.directory} ${what} → ${remedy}`, {
    ids: { directory: wanted.directory },
  });
  return { kind: 'refuse', error };
}

/**
 * Reads the text of a `millrace.json`. Never throws: what cannot be read is an answer.
 * @param text content of the file
 */
export function parseIdentity(text: string): DirectoryContent {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (error) {
    return { kind: 'unreadable', reason: error instanceof Error ? error.message : String(error) };
  }
  if (typeof parsed !== 'object' || parsed === null) return { kind: 'unreadable', reason: 'it is not a JSON object' };
  const record = parsed as Record<string, unknown>;
  const version = record.formatVersion;
  if (typeof version !== 'number' || !Number.isInteger(version))
    return { kind: 'unreadable', reason: 'it has no formatVersion' };
  // Fields of a later format are not ours to judge.
  if (version > stateDirectoryFormatVersion) {
    return { kind: 'newer', formatVersion: version, engineVersion: String(record.engineVersion ?? 'unknown') };
  }
  const missing = missingField(record);
  if (missing !== null) return { kind: 'unreadable', reason: `its ${missing} is missing or malformed` };
  return { kind: 'identity', identity: parsed as DirectoryIdentity };
}

function missingField(record: Record<string, unknown>): string | null {
  const texts = ['engineVersion', 'jobName', 'graphHash', 'workingDirectory'];
  const text = texts.find((name) => typeof record[name] !== 'string');
  if (text !== undefined) return text;
  if (!isTextRecord(record.functionsFingerprint)) return 'functionsFingerprint';
  const reference = ['graph', 'artifact'].find((name) => !isFileReference(record[name]));
  if (reference !== undefined) return reference;
  return directoryPhases.includes(String(record.phase)) ? null : 'phase';
}

function isFileReference(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  const { name, sha256 } = value as Record<string, unknown>;
  return typeof name === 'string' && typeof sha256 === 'string';
}

function isTextRecord(value: unknown): boolean {
  return typeof value === 'object' && value !== null && Object.values(value).every((text) => typeof text === 'string');
}
