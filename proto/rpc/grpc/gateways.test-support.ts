/** Gateways for tests of transports: they note what they are asked and answer what they are told. */
import { createHash } from 'node:crypto';
import type {
  CancelJobRequest,
  ClusterStatus,
  DisposeSavepointRequest,
  ForgetJobRequest,
  GetJobRequest,
  JobStatus,
  ListJobsResponse,
  LogLine,
  ObjectHeader,
  ReadObjectRequest,
  ReadObjectResponse,
  RescaleJobRequest,
  RescaleJobResponse,
  StopJobRequest,
  StopJobResponse,
  SubmitJobRequest,
  SubmitJobResponse,
  TailLogsRequest,
  TriggerSavepointRequest,
  TriggerSavepointResponse,
} from '../../client-messages.ts';
import type { Acknowledgement, ObjectRef } from '../../messages.ts';
import type { ClientGateway, TaskManagerGateway } from '../../services.ts';

export const attempt = { leaderEpoch: 1, jobId: 'job.1', attempt: 1 };
const object = { name: 'job/object', sha256: 'ab', bytes: 12 };

/** A deployment whose message has about that many bytes. */
export function deployment(bytes: number) {
  const subtask = { vertexId: 'v'.repeat(1000), subtaskIndex: 0 };
  const subtasks = Array.from({ length: Math.ceil(bytes / 1006) }, () => subtask);
  const slices = [{ slotIndex: 0, subtasks }];
  const origin = { workingDirectory: '', graphHash: 'hash', currentAttempts: [1] };
  return { attempt, graph: object, artifact: object, restoreManifest: null, slices, finished: [], ...origin };
}

/** A gateway that puts the name of every call into a list, and answers as `answer` does. */
export function notingTaskManager(
  calls: string[],
  answer: (call: string) => Promise<object> = async () => ({}),
): TaskManagerGateway {
  const note = (call: string): Promise<object> => {
    calls.push(call);
    return answer(call);
  };
  return {
    deploySlots: (request) => note(`deploy ${request.attempt.attempt}`),
    connectSlots: () => note('connect'),
    cancelAttempt: (request) => note(`cancel ${request.attempt.attempt}`),
    triggerCheckpoint: (request) => note(`trigger ${request.checkpointId}`),
    notifyCheckpointComplete: (request) => note(`complete ${request.checkpointId}`),
    notifyCheckpointAborted: (request) => note(`aborted ${request.checkpointId}`),
    mergeFiles: () => note('merge'),
    adoptAttempt: (request) => note(`adopt ${request.attempt.leaderEpoch}`),
  };
}

const totals = {
  recordsIn: 1,
  recordsOut: 2,
  lateRecords: 3,
  watermarkMs: Number.NEGATIVE_INFINITY,
  counters: { c: 4 },
};

/** A job that runs. */
export function runningJob(jobId: string): JobStatus {
  return {
    jobId,
    name: jobId.split('.')[0] ?? jobId,
    state: 'running',
    attempt: 3,
    restarts: 2,
    submittedAtMs: 1_700_000_000_000,
    endedAtMs: null,
    error: null,
    parallelism: 2,
    maxParallelism: 128,
    slotsNeeded: 2,
    slotsMissing: 0,
    progress: totals,
    lastCheckpoint: { id: 7, completedAtMs: 1_700_000_000_500, bytes: 12 },
    vertices: [],
  };
}

/** A cluster that notes what it is asked, keeps objects and has two lines of log. */
export class NotingCluster implements ClientGateway {
  readonly calls: string[] = [];
  readonly objects = new Map<string, number>();
  /** Called before each answer; may reject. */
  before: (call: string) => Promise<void> = async () => undefined;
  /** Set: what it has to say about followed logs. */
  logs: (request: TailLogsRequest, signal: AbortSignal) => AsyncIterable<LogLine> = twoLines;
  put: (header: ObjectHeader, chunks: AsyncIterable<Uint8Array>) => Promise<void> = async (header, chunks) => {
    let bytes = 0;
    for await (const chunk of chunks) bytes += chunk.byteLength;
    this.objects.set(header.sha256, bytes);
  };

  async #note<T>(call: string, answer: T): Promise<T> {
    this.calls.push(call);
    await this.before(call);
    return answer;
  }

  async putObject(header: ObjectHeader, chunks: AsyncIterable<Uint8Array>): Promise<ObjectRef> {
    await this.#note(`put ${header.kind} ${header.bytes}`, {});
    await this.put(header, chunks);
    return { name: `objects/${header.sha256}`, sha256: header.sha256, bytes: header.bytes };
  }

  submitJob(request: SubmitJobRequest): Promise<SubmitJobResponse> {
    return this.#note(`submit ${request.name} ${request.graph.name} ${request.artifact.name}`, {
      jobId: `${request.name}.1`,
    });
  }

  listJobs(): Promise<ListJobsResponse> {
    return this.#note('list', { jobs: [runningJob('a.1'), runningJob('b.2')] });
  }

  getJob({ job }: GetJobRequest): Promise<JobStatus> {
    return this.#note(`get ${job}`, runningJob(job));
  }

  cancelJob({ job }: CancelJobRequest): Promise<Acknowledgement> {
    return this.#note(`cancel ${job}`, {});
  }

  forgetJob({ job }: ForgetJobRequest): Promise<Acknowledgement> {
    return this.#note(`forget ${job}`, {});
  }

  stopJob({ job, savepoint, drain }: StopJobRequest): Promise<StopJobResponse> {
    const answer = savepoint ? { checkpointId: 9, savepointPath: 's/9' } : { checkpointId: null, savepointPath: null };
    return this.#note(`stop ${job} ${drain ? 'drained' : 'as it is'}`, answer);
  }

  triggerSavepoint({ job }: TriggerSavepointRequest): Promise<TriggerSavepointResponse> {
    return this.#note(`savepoint ${job}`, { checkpointId: 8, savepointPath: 's/8' });
  }

  disposeSavepoint({ savepointPath }: DisposeSavepointRequest): Promise<Acknowledgement> {
    return this.#note(`dispose ${savepointPath}`, {});
  }

  rescaleJob({ job, graph }: RescaleJobRequest): Promise<RescaleJobResponse> {
    return this.#note(`rescale ${job} ${graph.bytes}`, { checkpointId: 10 });
  }

  readObject({ job, kind, offset }: ReadObjectRequest): Promise<ReadObjectResponse> {
    const whole = Buffer.from(kind === 'graph' ? '{"name":"read"}' : 'code');
    const object = { name: `objects/${kind}`, sha256: sha256Of(whole), bytes: whole.byteLength };
    return this.#note(`read ${kind} of ${job} from ${offset}`, { object, data: whole.subarray(offset, offset + 8) });
  }

  getCluster(): Promise<ClusterStatus> {
    const taskManager = { id: 'tm', host: 'h', slots: 2, freeSlots: 1, lastHeardMs: 10, engineVersion: '0.1.0' };
    const cluster = { clusterId: 'c', leaderEpoch: 4, leaderAddress: 'h:6123', engineVersion: '0.1.0' };
    return this.#note('cluster', { ...cluster, taskManagers: [taskManager] });
  }

  tailLogs(request: TailLogsRequest, signal: AbortSignal): AsyncIterable<LogLine> {
    this.calls.push(`logs ${request.job ?? 'all'}`);
    return this.logs(request, signal);
  }
}

export const logLines: readonly LogLine[] = [
  { timeMs: 1, level: 'info', taskManagerId: null, jobId: 'a.1', text: 'running' },
  { timeMs: 2, level: 'error', taskManagerId: 'tm', jobId: null, text: '' },
];

async function* twoLines(): AsyncIterable<LogLine> {
  yield* logLines;
}

const sha256Of = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
