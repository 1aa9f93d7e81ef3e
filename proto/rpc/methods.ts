/**
 * The methods of the services as tables: path, codecs and deadline of each. Both transports, the one inside a process and
 * gRPC, are made from them, so an rpc is added in one place. The type checker sees to it that none is forgotten.
 */
import type { JobManagerGateway, TaskManagerGateway } from '../services.ts';
import * as codecs from './codecs.ts';
import type { MessageCodec } from './message-codec.ts';

/** One request, one response. */
export interface UnaryMethod<Request, Response> {
  /** As on the wire: `/<package>.<service>/<method>`. */
  readonly path: string;
  readonly request: MessageCodec<Request>;
  readonly response: MessageCodec<Response>;
  /** Then the call has failed for the caller, whatever the other side does. */
  readonly deadlineMs: number;
}

/** A table with one method for each of a gateway. */
export type UnaryMethods<Gateway> = {
  readonly [Name in keyof Gateway]: Gateway[Name] extends (request: infer Request) => Promise<infer Response>
    ? UnaryMethod<Request, Response>
    : never;
};

/** Makes the methods of one service; the name of an rpc is the name of the method with a capital. */
export function methodsOf(service: string) {
  return <Request, Response>(
    name: string,
    request: MessageCodec<Request>,
    response: MessageCodec<Response>,
    deadlineMs: number,
  ): UnaryMethod<Request, Response> => ({ path: `/millrace.v1.${service}/${name}`, request, response, deadlineMs });
}

/** Answered from memory. */
const quickMs = 5_000;
/** Answered when something was handed to threads, or written by the job master. */
const controlMs = 10_000;
/** Answered when graph, artifact and manifest have been fetched from storage. */
const deployMs = 60_000;
/** Answered when files have been read, merged and written. */
const mergeMs = 600_000;

const ofTaskManager = methodsOf('TaskManagerService');

export const taskManagerMethods: UnaryMethods<TaskManagerGateway> = {
  deploySlots: ofTaskManager('DeploySlots', codecs.deploySlotsRequest, codecs.acknowledgement, deployMs),
  connectSlots: ofTaskManager('ConnectSlots', codecs.connectSlotsRequest, codecs.acknowledgement, controlMs),
  cancelAttempt: ofTaskManager('CancelAttempt', codecs.cancelAttemptRequest, codecs.acknowledgement, controlMs),
  triggerCheckpoint: ofTaskManager(
    'TriggerCheckpoint',
    codecs.triggerCheckpointRequest,
    codecs.acknowledgement,
    controlMs,
  ),
  notifyCheckpointComplete: ofTaskManager(
    'NotifyCheckpointComplete',
    codecs.notifyCheckpointRequest,
    codecs.acknowledgement,
    controlMs,
  ),
  notifyCheckpointAborted: ofTaskManager(
    'NotifyCheckpointAborted',
    codecs.notifyCheckpointRequest,
    codecs.acknowledgement,
    controlMs,
  ),
  mergeFiles: ofTaskManager('MergeFiles', codecs.mergeFilesRequest, codecs.acknowledgement, mergeMs),
  adoptAttempt: ofTaskManager('AdoptAttempt', codecs.adoptAttemptRequest, codecs.acknowledgement, quickMs),
};

const ofJobManager = methodsOf('JobManagerService');

export const jobManagerMethods: UnaryMethods<JobManagerGateway> = {
  registerTaskManager: ofJobManager(
    'RegisterTaskManager',
    codecs.registerTaskManagerRequest,
    codecs.registerTaskManagerResponse,
    quickMs,
  ),
  heartbeat: ofJobManager('Heartbeat', codecs.heartbeatRequest, codecs.acknowledgement, quickMs),
  reportSlotListening: ofJobManager(
    'ReportSlotListening',
    codecs.slotListeningReport,
    codecs.acknowledgement,
    controlMs,
  ),
  reportSubtaskState: ofJobManager('ReportSubtaskState', codecs.subtaskStateReport, codecs.acknowledgement, controlMs),
  reportSlotEnded: ofJobManager('ReportSlotEnded', codecs.slotEndedReport, codecs.acknowledgement, controlMs),
  acknowledgeCheckpoint: ofJobManager(
    'AcknowledgeCheckpoint',
    codecs.checkpointAcknowledgement,
    codecs.acknowledgement,
    controlMs,
  ),
  declineCheckpoint: ofJobManager('DeclineCheckpoint', codecs.checkpointDecline, codecs.acknowledgement, controlMs),
  reportMerge: ofJobManager('ReportMerge', codecs.mergeReport, codecs.acknowledgement, controlMs),
  reportAlignment: ofJobManager('ReportAlignment', codecs.alignmentReport, codecs.alignmentAnswer, quickMs),
  reportLogs: ofJobManager('ReportLogs', codecs.logReport, codecs.acknowledgement, quickMs),
};

/** A method of which only the table it came from knows the types. */
export type AnyUnaryMethod = UnaryMethod<object, object>;

/** A gateway whose every method is the same function with another row of the table. */
export function gatewayOf<Gateway>(
  methods: UnaryMethods<Gateway>,
  call: (name: keyof Gateway & string, method: AnyUnaryMethod, request: object) => Promise<object>,
): Gateway {
  const entries = Object.entries(methods) as [keyof Gateway & string, AnyUnaryMethod][];
  const made = entries.map(([name, method]) => [name, (request: object) => call(name, method, request)]);
  return Object.fromEntries(made) as Gateway;
}

/** Calls a method of a gateway with the request its row of the table has decoded. */
export function callGateway<Gateway>(gateway: Gateway, name: keyof Gateway, request: object): Promise<object> {
  const methods = gateway as Readonly<Record<keyof Gateway, (request: object) => Promise<object>>>;
  // As a method: gateways are objects with state.
  return methods[name](request);
}
