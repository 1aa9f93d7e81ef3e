/** A gateway as a gRPC service: decodes, calls, encodes; what is thrown travels in the trailer. */
import type { handleUnaryCall, MethodDefinition, UntypedServiceImplementation } from '@grpc/grpc-js';
import { callGateway, type AnyUnaryMethod, type UnaryMethods } from '../methods.ts';
import { checkMessageSize, statusOfError } from './error-trailer.ts';
import type { GrpcService } from './grpc-server.ts';

type BytesMethod = MethodDefinition<Buffer, Buffer>;

const same = (bytes: Buffer): Buffer => bytes;

/** Bytes in, bytes out: messages are decoded by our codecs, after the caller was let in. */
export function bytesMethod(path: string, requestStream = false, responseStream = false): BytesMethod {
  return {
    path,
    requestStream,
    responseStream,
    requestSerialize: same,
    requestDeserialize: same,
    responseSerialize: same,
    responseDeserialize: same,
  };
}

/** The same bytes as the type gRPC asks for. */
export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** The bytes of a response, small enough to be received. */
export function encodeResponse(method: AnyUnaryMethod, response: object): Buffer {
  const bytes = method.response.encode(response);
  checkMessageSize(bytes, method.path);
  return asBuffer(bytes);
}

/** All methods of a gateway, one request and one response each. */
export function unaryService<Gateway>(methods: UnaryMethods<Gateway>, gateway: Gateway): GrpcService {
  const definition: Record<string, BytesMethod> = {};
  const implementation: UntypedServiceImplementation = {};
  for (const [name, method] of Object.entries(methods) as [keyof Gateway & string, AnyUnaryMethod][]) {
    const answer = async (bytes: Buffer): Promise<Buffer> =>
      encodeResponse(method, await callGateway(gateway, name, method.request.decode(bytes)));
    const handler: handleUnaryCall<Buffer, Buffer> = (call, callback) => {
      answer(call.request).then(
        (response) => callback(null, response),
        (error: unknown) => callback(statusOfError(error)),
      );
    };
    definition[name] = bytesMethod(method.path);
    implementation[name] = handler;
  }
  return { definition, implementation };
}
