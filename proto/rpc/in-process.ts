/**
 * The control plane inside one process (embedded mode): every message is encoded and decoded all the same, so a job sees
 * the same messages on a laptop and on a cluster.
 *
 * Calls of one wrapper are started in the order in which they were made and never inside the caller's own stack: a
 * reply or a counter-call cannot find the caller half-way through a step.
 */
import { fromWireError, toWireError } from '../../core/errors.ts';
import type { JobManagerGateway, TaskManagerGateway } from '../services.ts';
import * as codecs from './codecs.ts';
import type { MessageCodec } from './message-codec.ts';

async function call<Request, Response>(
  request: Request,
  requestCodec: MessageCodec<Request>,
  responseCodec: MessageCodec<Response>,
  handler: (request: Request) => Promise<Response>,
): Promise<Response> {
  const bytes = requestCodec.encode(request);
  // One turn of the microtask queue: first in, first out, for all calls.
  await Promise.resolve();
  let response: Uint8Array;
  try {
    response = responseCodec.encode(await handler(requestCodec.decode(bytes)));
  } catch (error) {
    throw fromWireError(codecs.errorInfo.decode(codecs.errorInfo.encode(toWireError(error))));
  }
  return responseCodec.decode(response);
}

/** A task manager of this process, reached through encoded messages. */
export function inProcessTaskManager(gateway: TaskManagerGateway): TaskManagerGateway {
  const unary = <Request>(
    request: Request,
    codec: MessageCodec<Request>,
    handler: (request: Request) => Promise<object>,
  ) => call(request, codec, codecs.acknowledgement, handler);
  return {
    deploySlots: (request) => unary(request, codecs.deploySlotsRequest, (r) => gateway.deploySlots(r)),
    connectSlots: (request) => unary(request, codecs.connectSlotsRequest, (r) => gateway.connectSlots(r)),
    cancelAttempt: (request) => unary(request, codecs.cancelAttemptRequest, (r) => gateway.cancelAttempt(r)),
    triggerCheckpoint: (request) =>
      unary(request, codecs.triggerCheckpointRequest, (r) => gateway.triggerCheckpoint(r)),
    notifyCheckpointComplete: (request) =>
      unary(request, codecs.notifyCheckpointRequest, (r) => gateway.notifyCheckpointComplete(r)),
    notifyCheckpointAborted: (request) =>
      unary(request, codecs.notifyCheckpointRequest, (r) => gateway.notifyCheckpointAborted(r)),
    mergeFiles: (request) => unary(request, codecs.mergeFilesRequest, (r) => gateway.mergeFiles(r)),
    adoptAttempt: (request) => unary(request, codecs.adoptAttemptRequest, (r) => gateway.adoptAttempt(r)),
  };
}

/** The job manager of this process, reached through encoded messages. */
export function inProcessJobManager(gateway: JobManagerGateway): JobManagerGateway {
  const unary = <Request>(
    request: Request,
    codec: MessageCodec<Request>,
    handler: (request: Request) => Promise<object>,
  ) => call(request, codec, codecs.acknowledgement, handler);
  return {
    registerTaskManager: (request) =>
      call(request, codecs.registerTaskManagerRequest, codecs.registerTaskManagerResponse, (r) =>
        gateway.registerTaskManager(r),
      ),
    heartbeat: (request) => unary(request, codecs.heartbeatRequest, (r) => gateway.heartbeat(r)),
    reportSlotListening: (report) => unary(report, codecs.slotListeningReport, (r) => gateway.reportSlotListening(r)),
    reportSubtaskState: (report) => unary(report, codecs.subtaskStateReport, (r) => gateway.reportSubtaskState(r)),
    reportSlotEnded: (report) => unary(report, codecs.slotEndedReport, (r) => gateway.reportSlotEnded(r)),
    acknowledgeCheckpoint: (request) =>
      unary(request, codecs.checkpointAcknowledgement, (r) => gateway.acknowledgeCheckpoint(r)),
    declineCheckpoint: (decline) => unary(decline, codecs.checkpointDecline, (r) => gateway.declineCheckpoint(r)),
    reportMerge: (report) => unary(report, codecs.mergeReport, (r) => gateway.reportMerge(r)),
    reportAlignment: (report) =>
      call(report, codecs.alignmentReport, codecs.alignmentAnswer, (r) => gateway.reportAlignment(r)),
  };
}
