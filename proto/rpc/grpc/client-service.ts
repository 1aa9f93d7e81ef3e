/** The client service over gRPC: requests from the table, objects and logs as streams with back-pressure. */
import { once } from 'node:events';
import type {
  ClientReadableStream,
  handleClientStreamingCall,
  handleServerStreamingCall,
  ServerWritableStream,
  ServiceError,
} from '@grpc/grpc-js';
import type { EngineError } from '../../../core/errors.ts';
import type { LogLine, ObjectHeader, TailLogsRequest } from '../../client-messages.ts';
import type { ObjectRef } from '../../messages.ts';
import type { ClientGateway, ClientRequests } from '../../services.ts';
import { logLine, tailLogsRequest } from '../client-codecs.ts';
import { clientMethods, putObjectDeadlineMs, putObjectPath, tailLogsPath } from '../client-methods.ts';
import { objectRef } from '../codecs.ts';
import { gatewayOf } from '../methods.ts';
import { decodeObject, encodeObject } from '../object-stream.ts';
import type { Peer } from './control-plane.ts';
import { checkMessageSize, errorOfCall, statusOfError } from './error-trailer.ts';
import type { GrpcService } from './grpc-server.ts';
import { PeerChannel, type PeerOptions } from './peer-channel.ts';
import { asBuffer, bytesMethod, unaryService } from './unary-service.ts';

/** The service by which clients reach the cluster. */
export function serveClients(gateway: ClientGateway): GrpcService {
  const putObject: handleClientStreamingCall<Buffer, Buffer> = (call, callback) => {
    receiveObject(gateway, call).then(
      (ref) => callback(null, asBuffer(objectRef.encode(ref))),
      (error: unknown) => callback(statusOfError(error)),
    );
  };
  const tailLogs: handleServerStreamingCall<Buffer, Buffer> = (call) => {
    sendLogs(gateway, call).then(
      () => call.end(),
      (error: unknown) => call.emit('error', statusOfError(error)),
    );
  };
  const { definition, implementation } = unaryService<ClientRequests>(clientMethods, gateway);
  return {
    definition: {
      ...definition,
      putObject: bytesMethod(putObjectPath, true),
      tailLogs: bytesMethod(tailLogsPath, false, true),
    },
    implementation: { ...implementation, putObject, tailLogs },
  };
}

async function receiveObject(gateway: ClientGateway, messages: AsyncIterable<Buffer>): Promise<ObjectRef> {
  const { header, chunks } = await decodeObject(messages);
  return await gateway.putObject(header, chunks);
}

async function sendLogs(gateway: ClientGateway, call: ServerWritableStream<Buffer, Buffer>): Promise<void> {
  const left = new AbortController();
  call.on('cancelled', () => left.abort());
  try {
    for await (const line of gateway.tailLogs(tailLogsRequest.decode(call.request), left.signal)) {
      if (left.signal.aborted) return;
      const bytes = logLine.encode(line);
      checkMessageSize(bytes, tailLogsPath);
      // A reader that is slow is waited for, or its lines would fill the memory here.
      if (!call.write(asBuffer(bytes))) await once(call, 'drain', { signal: left.signal });
    }
  } catch (error) {
    if (!left.signal.aborted) throw error;
  }
}

/**
 * A cluster, reached through one of its job managers.
 * @param address `host:port` of its GrpcServer
 */
export function clusterGateway(address: string, options: PeerOptions): ClientGateway & Peer {
  const channel = new PeerChannel(address, 'job-manager', options);
  const requests = gatewayOf<ClientRequests>(clientMethods, (_name, method, request) => channel.call(method, request));
  return Object.assign(requests, {
    address: channel.address,
    putObject: (header: ObjectHeader, chunks: AsyncIterable<Uint8Array>) => sendObject(channel, header, chunks),
    tailLogs: (request: TailLogsRequest, signal: AbortSignal) => receiveLogs(channel, request, signal),
    onLost: (listener: (error: EngineError) => void) => channel.onLost(listener),
    close: () => channel.close(),
  });
}

async function sendObject(
  channel: PeerChannel,
  header: ObjectHeader,
  chunks: AsyncIterable<Uint8Array>,
): Promise<ObjectRef> {
  const target = channel.target(putObjectPath, putObjectDeadlineMs);
  const { stream, answer } = channel.send(target, Date.now() + putObjectDeadlineMs);
  // The answer may come before the last chunk: the object may be there already, or be refused.
  let answered = false;
  const over = answer
    .catch(() => undefined)
    .then(() => {
      answered = true;
    });
  try {
    for await (const message of encodeObject(header, chunks)) {
      if (answered) break;
      const written = new Promise<void>((resolve) => {
        stream.write(asBuffer(message), () => resolve());
      });
      await Promise.race([written, over]);
    }
  } catch (error) {
    stream.cancel();
    throw error;
  }
  stream.end();
  return objectRef.decode(await answer);
}

async function* receiveLogs(
  channel: PeerChannel,
  request: TailLogsRequest,
  signal: AbortSignal,
): AsyncIterable<LogLine> {
  if (signal.aborted) return;
  const call: ClientReadableStream<Buffer> = channel.subscribe(tailLogsPath, tailLogsRequest.encode(request));
  const leave = (): void => call.cancel();
  signal.addEventListener('abort', leave);
  try {
    for await (const bytes of call as AsyncIterable<Buffer>) yield logLine.decode(bytes);
  } catch (error) {
    if (signal.aborted) return;
    if (isServiceError(error)) throw errorOfCall(error, channel.target(tailLogsPath, 0));
    throw error;
  } finally {
    signal.removeEventListener('abort', leave);
    call.cancel();
  }
}

function isServiceError(error: unknown): error is ServiceError {
  return error instanceof Error && 'details' in error && 'metadata' in error;
}
