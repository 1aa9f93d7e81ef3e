/** A task manager process: its own service, connections to the job managers, and the task manager between them. */
import type { TlsMaterialSource } from '../../core/tls-material.ts';
import type { Authorize } from '../../proto/rpc/grpc/authorization.ts';
import { jobManagerClient, type Peer, serveTaskManager } from '../../proto/rpc/grpc/control-plane.ts';
import { GrpcServer } from '../../proto/rpc/grpc/grpc-server.ts';
import type { JobManagerGateway, TaskManagerGateway } from '../../proto/services.ts';
import type { JobManagers } from '../leader/leader-session.ts';
import { TaskManager, type TaskManagerOptions } from '../task-manager.ts';

export interface TaskManagerProcessOptions
  extends Omit<TaskManagerOptions, 'jobManagers' | 'rpcAddress' | 'onDelivery'> {
  /** Addresses of all job managers, `host:port`. */
  readonly jobManagerAddresses: readonly string[];
  /** Address of this machine that its service listens on. */
  readonly listenHost: string;
  /** 0: any free one. */
  readonly rpcPort: number;
  readonly tls: TlsMaterialSource | null;
  /** In clear to other machines as well. */
  readonly insecure: boolean;
  readonly authorize: Authorize;
}

const stopGraceMs = 2_000;

export class TaskManagerProcess {
  readonly taskManager: TaskManager;
  /** `host:port` of its service. */
  readonly rpcAddress: string;
  readonly #server: GrpcServer;
  readonly #jobManagers: RemoteJobManagers;

  private constructor(
    taskManager: TaskManager,
    rpcAddress: string,
    server: GrpcServer,
    jobManagers: RemoteJobManagers,
  ) {
    this.taskManager = taskManager;
    this.rpcAddress = rpcAddress;
    this.#server = server;
    this.#jobManagers = jobManagers;
  }

  /** Starts the threads and the service; slots are offered by {@link TaskManagerProcess.register}. @throws EngineError PORT_IN_USE, CONFIG_INVALID */
  static async start(options: TaskManagerProcessOptions): Promise<TaskManagerProcess> {
    const { jobManagerAddresses, listenHost, rpcPort, tls, insecure, authorize, ...more } = options;
    const jobManagers = new RemoteJobManagers(jobManagerAddresses, tls, insecure);
    // Nobody knows the address before the task manager has registered.
    let taskManager: TaskManager | null = null;
    const services = [serveTaskManager(taskManagerGate(() => taskManager as TaskManager))];
    const server = await GrpcServer.start({ host: listenHost, port: rpcPort, services, authorize, tls, insecure });
    const rpcAddress = `${options.host}:${server.port}`;
    const { onLog } = options;
    try {
      taskManager = await TaskManager.start({
        ...more,
        listenHost,
        jobManagers,
        rpcAddress,
        onDelivery: (channel) =>
          onLog('warn', `results of collect('${channel}') are dropped: nobody is there to take them`),
      });
      return new TaskManagerProcess(taskManager, rpcAddress, server, jobManagers);
    } catch (error) {
      await server.stop(0);
      jobManagers.close();
      throw error;
    }
  }

  /** Looks for the leading job manager, for as long as it takes. */
  register(): Promise<void> {
    return this.taskManager.register();
  }

  /** Ends what runs. */
  async stop(): Promise<void> {
    await this.taskManager.stop();
    this.#jobManagers.close();
    await this.#server.stop(stopGraceMs);
  }
}

/** Connections to job managers, made anew when one was lost. */
class RemoteJobManagers implements JobManagers {
  readonly addresses: readonly string[];
  readonly #tls: TlsMaterialSource | null;
  readonly #insecure: boolean;
  readonly #peers = new Map<string, JobManagerGateway & Peer>();

  constructor(addresses: readonly string[], tls: TlsMaterialSource | null, insecure: boolean) {
    this.addresses = addresses;
    this.#tls = tls;
    this.#insecure = insecure;
  }

  gateway(address: string): JobManagerGateway {
    const known = this.#peers.get(address);
    if (known !== undefined) return known;
    const peer = jobManagerClient(address, { tls: this.#tls, insecure: this.#insecure });
    this.#peers.set(address, peer);
    peer.onLost(() => {
      peer.close();
      if (this.#peers.get(address) === peer) this.#peers.delete(address);
    });
    return peer;
  }

  close(): void {
    for (const peer of this.#peers.values()) peer.close();
    this.#peers.clear();
  }
}

/** The task manager, which is made after its service. */
function taskManagerGate(current: () => TaskManagerGateway): TaskManagerGateway {
  return {
    deploySlots: async (request) => current().deploySlots(request),
    connectSlots: async (request) => current().connectSlots(request),
    cancelAttempt: async (request) => current().cancelAttempt(request),
    triggerCheckpoint: async (request) => current().triggerCheckpoint(request),
    notifyCheckpointComplete: async (request) => current().notifyCheckpointComplete(request),
    notifyCheckpointAborted: async (request) => current().notifyCheckpointAborted(request),
    mergeFiles: async (request) => current().mergeFiles(request),
    adoptAttempt: async (request) => current().adoptAttempt(request),
  };
}
