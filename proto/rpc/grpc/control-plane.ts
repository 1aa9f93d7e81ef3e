/** The two services between job manager and task managers over gRPC. */
import type { EngineError } from '../../../core/errors.ts';
import type { JobManagerGateway, TaskManagerGateway } from '../../services.ts';
import { gatewayOf, jobManagerMethods, taskManagerMethods, type UnaryMethods } from '../methods.ts';
import type { GrpcService } from './grpc-server.ts';
import { PeerChannel, type PeerOptions } from './peer-channel.ts';
import { unaryService } from './unary-service.ts';

/** What a gateway to another process has besides its methods. */
export interface Peer {
  /** `host:port` of the other process. */
  readonly address: string;
  /**
   * Tells, once, that the peer is gone: its connection broke and another one is refused, or none stands in time. Told at
   * once when it is lost already. The gateway is of no use then, and is to be closed.
   */
  onLost(listener: (error: EngineError) => void): void;
  /** Ends the connection; calls that are under way fail. */
  close(): void;
}

function peerOf<Gateway extends object>(channel: PeerChannel, methods: UnaryMethods<Gateway>): Gateway & Peer {
  return Object.assign(
    gatewayOf(methods, (_name, method, request) => channel.call(method, request)),
    {
      address: channel.address,
      onLost: (listener: (error: EngineError) => void) => channel.onLost(listener),
      close: () => channel.close(),
    },
  );
}

/** The service by which a job manager reaches this task manager. */
export function serveTaskManager(gateway: TaskManagerGateway): GrpcService {
  return unaryService(taskManagerMethods, gateway);
}

/** The service by which task managers reach this job manager. */
export function serveJobManager(gateway: JobManagerGateway): GrpcService {
  return unaryService(jobManagerMethods, gateway);
}

/**
 * A task manager of another process.
 * @param address `host:port` of its GrpcServer
 */
export function taskManagerClient(address: string, options: PeerOptions): TaskManagerGateway & Peer {
  return peerOf(new PeerChannel(address, 'task-manager', options), taskManagerMethods);
}

/**
 * A job manager of another process.
 * @param address `host:port` of its GrpcServer
 */
export function jobManagerClient(address: string, options: PeerOptions): JobManagerGateway & Peer {
  return peerOf(new PeerChannel(address, 'job-manager', options), jobManagerMethods);
}
