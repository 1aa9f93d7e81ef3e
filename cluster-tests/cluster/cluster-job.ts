/** Jobs on a cluster under test: submitted through the client, watched, and ended. */
import { ClusterClient, type ClusterClientOptions, type JobStatus } from 'millrace/cluster';
import { prepareJob, replanJob } from '../../cli/job/prepare-job.ts';
import { enginePackage } from '../../taskmanager/artifact/engine-package.ts';
import { repositoryRoot } from '../millrace-run.ts';
import { waitUntil } from '../support/etcd.ts';

export interface ClusterJobOptions {
  readonly jobManagers: readonly string[];
  /** Absent: nothing, for clusters of this machine that ask for nothing. */
  readonly access?: Pick<ClusterClientOptions, 'tls' | 'token'>;
  /** Path below the repository. */
  readonly job: string;
  readonly parallelism: number;
  readonly checkpointIntervalMs: number;
  readonly parameters: Readonly<Record<string, string>>;
}

const over = ['finished', 'failed', 'canceled', 'stopped'];

export class ClusterJob {
  readonly jobId: string;
  readonly #client: ClusterClient;

  private constructor(jobId: string, client: ClusterClient) {
    this.jobId = jobId;
    this.#client = client;
  }

  static async submit(options: ClusterJobOptions): Promise<ClusterJob> {
    const job = await prepareJob({
      jobFile: `${repositoryRoot}/${options.job}`,
      arguments: options.parameters,
      environment: {},
      externals: [],
      parallelism: options.parallelism,
      options: {
        checkpointIntervalMs: options.checkpointIntervalMs,
        restart: { kind: 'fixed-delay', delayMs: 100, attemptsMax: 1_000_000 },
      },
    });
    const client = await ClusterClient.connect({
      jobManagers: options.jobManagers,
      patienceMs: 60_000,
      ...options.access,
    });
    const { jobId } = await client.submit({
      graph: job.graph,
      graphHash: job.graphHash,
      artifact: job.artifact.code,
      engineVersion: enginePackage().version,
      workingDirectory: repositoryRoot,
    });
    return new ClusterJob(jobId, client);
  }

  status(): Promise<JobStatus> {
    return this.#client.status(this.jobId);
  }

  async leaderAddress(): Promise<string> {
    return (await this.#client.cluster()).leaderAddress;
  }

  /** Waits until the job has come as far as the condition says, or is over. */
  async until(what: string, condition: (status: JobStatus) => boolean, limitMs = 120_000): Promise<JobStatus> {
    let status = await this.status();
    await waitUntil(
      what,
      async () => {
        status = await this.status();
        return condition(status) || over.includes(status.state);
      },
      limitMs,
    );
    return status;
  }

  async end(limitMs = 300_000): Promise<JobStatus> {
    return this.until('the end of the job', () => false, limitMs);
  }

  /** Another parallelism, as `millrace rescale` does it. */
  async rescale(parallelism: number): Promise<number> {
    const { graph, artifact } = await this.#client.download(this.jobId);
    const { checkpointId } = await this.#client.rescale(this.jobId, await replanJob(graph, artifact, parallelism));
    return checkpointId;
  }

  async isOver(): Promise<boolean> {
    return over.includes((await this.status()).state);
  }

  close(): void {
    this.#client.close();
  }
}
