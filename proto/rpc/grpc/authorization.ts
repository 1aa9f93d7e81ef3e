/**
 * What every call passes before a byte of its message is looked at: who calls is made out from certificate and token, and
 * a policy says yes or throws. The role a method needs is declared in the .proto files.
 */
import { type Metadata, ServerInterceptingCall, type ServerInterceptor } from '@grpc/grpc-js';
import { type CertificateName, certificateNames } from '../../../core/security/certificate-names.ts';
import { methodRoles } from '../../generated/method-roles.ts';
import { statusOfError } from './error-trailer.ts';

export interface Caller {
  /** Of a certificate that our authority signed; none without one. */
  readonly certificateNames: readonly CertificateName[];
  readonly bearerToken: string | null;
}

/** @throws EngineError UNAUTHENTICATED or FORBIDDEN to refuse */
export type Authorize = (methodPath: string, caller: Caller) => void;

export type MethodRole = (typeof methodRoles)[keyof typeof methodRoles];

/** The role an rpc needs; null for a path that is none of ours. */
export function roleOfMethod(path: string): MethodRole | null {
  return Object.hasOwn(methodRoles, path) ? methodRoles[path as keyof typeof methodRoles] : null;
}

/** Paths of all rpcs of all services. */
export const methodPaths: readonly string[] = Object.keys(methodRoles);

/** For listeners on this machine without users of their own. */
export const allowEverybody: Authorize = () => undefined;

/** Asks `authorize` with the headers of a call, before its message is received. */
export function authorizing(authorize: Authorize): ServerInterceptor {
  return (method, call) =>
    new ServerInterceptingCall(call, {
      start: (next) =>
        next({
          onReceiveMetadata: (metadata, pass) => {
            const certificate = call.getAuthContext().sslPeerCertificate;
            const caller = {
              certificateNames: certificateNames(certificate?.subjectaltname),
              bearerToken: bearerToken(metadata),
            };
            try {
              authorize(method.path, caller);
            } catch (error) {
              call.sendStatus(statusOfError(error));
              return;
            }
            pass(metadata);
          },
        }),
    });
}

function bearerToken(metadata: Metadata): string | null {
  const values = metadata.get('authorization');
  // Twice is never what a caller of ours sends.
  if (values.length !== 1) return null;
  return /^Bearer ([A-Za-z0-9._~+/=-]{1,512})$/.exec(String(values[0]))?.[1] ?? null;
}
