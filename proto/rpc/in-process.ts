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
      throw fromWireError(codecs.errorInfo.decode(codecs.errorInfo.encode(toWireError(error))));
    }
    return method.response.decode(response);
  });
}

/** A task manager of this process, reached through encoded messages. */
export function inProcessTaskManager(gateway: TaskManagerGateway): TaskManagerGateway {
  return inProcess(taskManagerMethods, gateway);
}

/** The job manager of this process, reached through encoded messages. */
export function inProcessJobManager(gateway: JobManagerGateway): JobManagerGateway {
  return inProcess(jobManagerMethods, gateway);
}
