/**
 * The control plane inside one process (embedded mode): every message is encoded and decoded all the same, so a job sees
 * the same messages on a laptop and on a cluster.
 *
 * Calls of one wrapper are started in the order in which they were made and never inside the caller's own stack: a
 * reply or a counter-call cannot find the caller half-way through a step.
 */
import { fromWireError, toWireError } from '../../core/errors.ts';
import type { LogLine, ObjectHeader, TailLogsRequest } from '../client-messages.ts';
import type { ObjectRef } from '../messages.ts';
import type { ClientGateway, ClientRequests, JobManagerGateway, TaskManagerGateway } from '../services.ts';
import { logLine, tailLogsRequest } from './client-codecs.ts';
import { clientMethods } from './client-methods.ts';
import * as codecs from './codecs.ts';
import { decodeObject, encodeObject } from './object-stream.ts';
import { callGateway, gatewayOf, jobManagerMethods, taskManagerMethods, type UnaryMethods } from './methods.ts';

function inProcess<Gateway>(methods: UnaryMethods<Gateway>, gateway: Gateway): Gateway {
  return gatewayOf(methods, async (name, method, request) => {
    const bytes = method.request.encode(request);
    // One turn of the microtask queue: first in, first out, for all calls.
    await Promise.resolve();
    let response: Uint8Array;
    try {
      response = method.response.encode(await callGateway(gateway, name, method.request.decode(bytes)));
    } catch (error) {
      throw asReceived(error);
    }
    return method.response.decode(response);
  });
}

function asReceived(error: unknown): Error {
  return fromWireError(codecs.errorInfo.decode(codecs.errorInfo.encode(toWireError(error))));
}

/** A task manager of this process, reached through encoded messages. */
export function inProcessTaskManager(gateway: TaskManagerGateway): TaskManagerGateway {
  return inProcess(taskManagerMethods, gateway);
}

/** The job manager of this process, reached through encoded messages. */
export function inProcessJobManager(gateway: JobManagerGateway): JobManagerGateway {
  return inProcess(jobManagerMethods, gateway);
}

/** What clients ask of the cluster in this process, reached through encoded messages. */
export function inProcessClient(gateway: ClientGateway): ClientGateway {
  return {
    ...inProcess<ClientRequests>(clientMethods, gateway),
    putObject: (header, chunks) => putInProcess(gateway, header, chunks),
    tailLogs: (request, signal) => tailInProcess(gateway, request, signal),
  };
}

async function putInProcess(
  gateway: ClientGateway,
  header: ObjectHeader,
  chunks: AsyncIterable<Uint8Array>,
): Promise<ObjectRef> {
  try {
    const object = await decodeObject(encodeObject(header, chunks));
    return codecs.objectRef.decode(codecs.objectRef.encode(await gateway.putObject(object.header, object.chunks)));
  } catch (error) {
    throw asReceived(error);
  }
}

async function* tailInProcess(
  gateway: ClientGateway,
  request: TailLogsRequest,
  signal: AbortSignal,
): AsyncIterable<LogLine> {
  try {
    const received = tailLogsRequest.decode(tailLogsRequest.encode(request));
    for await (const line of gateway.tailLogs(received, signal)) yield logLine.decode(logLine.encode(line));
  } catch (error) {
    throw asReceived(error);
  }
}
