/**
 * `millrace plan --from <state directory>`: what would become of the state there in a run of the job as it is now, operator
 * by operator. Only reads, so it may be asked while the job runs.
 */
import { stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { EngineError } from '../../core/errors.ts';
import { describeGraphDifference } from '../../core/graph/graph-hash.ts';
import type { JobGraph } from '../../core/graph/job-graph.ts';
import { compareState, type StateVerdict } from '../../core/graph/state-compatibility.ts';
import { LocalJobStore } from '../../jobmanager/store/local-job-store.ts';
import { LocalDirectoryStore } from '../../storage/local-directory.ts';
import { readContent, readGraph } from '../run/state-directory.ts';
import type { DirectoryIdentity } from '../run/state-directory-rules.ts';

/** The newest checkpoint of a state directory, and what becomes of its state. */
export interface StateReport {
  readonly directory: string;
  /** Null when no checkpoint was completed: everything starts empty. */
  readonly checkpoint: {
    readonly id: number;
    readonly completedAtMs: number;
    readonly sourceRecords: number;
    readonly bytes: number;
  } | null;
  /** How the graph differs, in words. */
  readonly differences: readonly string[];
  readonly operators: readonly StateVerdict[];
  /** True when a run can go on from there; `--upgrade` is needed where the graph differs. */
  readonly restorable: boolean;
}

/**
 * Compares a job with a state directory.
 * @throws EngineError USAGE, STATE_DIRECTORY_FOREIGN, CHECKPOINT_UNREADABLE
 */
export async function readStateReport(path: string, graph: JobGraph): Promise<StateReport> {
  const directory = resolve(path);
  const identity = await requireIdentity(directory);
  const before = await readGraph(directory, identity);
  if (before === null) {
    const message = `the graph of the state in ${directory} is missing or damaged, so nothing can be said about its state → restore ${identity.graph.name} from a backup`;
    throw new EngineError('CHECKPOINT_UNREADABLE', message, { ids: { directory } });
  }
  const operators = compareState(before, graph);
  return {
    directory,
    checkpoint: await newestCheckpoint(directory, identity.jobName),
    differences: describeGraphDifference(before, graph),
    operators,
    restorable: operators.every(({ verdict }) => verdict !== 'refused'),
  };
}

async function requireIdentity(directory: string): Promise<DirectoryIdentity> {
  const found = await stat(directory).catch(() => null);
  if (found?.isDirectory() !== true) {
    const message = `there is no state directory ${directory} → name the --state-dir of an earlier millrace run`;
    throw new EngineError('USAGE', message, { ids: { directory } });
  }
  const content = await readContent(directory);
  if (content.kind === 'identity') return content.identity;
  const message = `${directory} holds no state of a job (${content.kind}) → name the --state-dir of an earlier millrace run`;
  throw new EngineError('STATE_DIRECTORY_FOREIGN', message, { ids: { directory } });
}

async function newestCheckpoint(directory: string, jobName: string): Promise<StateReport['checkpoint']> {
  const root = join(directory, 'storage');
  const store = new LocalJobStore({ directory: root, objects: new LocalDirectoryStore(root) });
  const pointer = await store.readPointer(jobName);
  if (pointer === null) return null;
  const newest = pointer.retained[pointer.retained.length - 1]?.manifest;
  if (newest === undefined) return null;
  const manifest = await store.readManifest(newest);
  return {
    id: manifest.checkpointId,
    completedAtMs: manifest.completedAtMs,
    sourceRecords: manifest.subtasks.reduce((sum, subtask) => sum + subtask.sourceRecords, 0),
    bytes: manifest.files.reduce((sum, { file }) => sum + file.object.bytes, 0),
  };
}

/** The report as text, several lines. */
export function stateReportText(report: StateReport): string {
  const { checkpoint, differences, operators } = report;
  const lines = [`state in ${report.directory}`];
  if (checkpoint === null) lines.push('no checkpoint was completed there: every operator starts empty');
  else {
    lines.push(
      `checkpoint ${checkpoint.id} of ${new Date(checkpoint.completedAtMs).toISOString()}, ${checkpoint.sourceRecords} records of the input, ${checkpoint.bytes} bytes`,
    );
  }
  if (differences.length > 0) lines.push('', 'the job differs:', ...differences.map((line) => `  - ${line}`));
  lines.push('');
  const width = Math.max(0, ...operators.map(({ operatorId }) => operatorId.length));
  for (const { operatorId, verdict, reason } of operators) {
    lines.push(`  ${operatorId.padEnd(width)}  ${verdictText[verdict]}${reason === null ? '' : `: ${reason}`}`);
  }
  lines.push('', conclusion(report));
  return lines.join('\n');
}

const verdictText = { restore: 'is restored', 'start-empty': 'starts empty', refused: 'is refused' } as const;

function conclusion({ restorable, differences, directory }: StateReport): string {
  if (!restorable) return 'a run would be refused';
  const upgrade = differences.length > 0 ? ' --upgrade' : '';
  return `a run goes on from there: millrace run <job> --state-dir ${directory}${upgrade}`;
}
