/** What a route of an HTTP listener is, apart from the server that answers it. */
import type { EngineError } from '../../core/errors.ts';
import type { Caller } from '../../proto/rpc/grpc/authorization.ts';

/** Who may ask. `public`: anybody who can reach the listener; tells nothing but whether the process does its work. */
export const routeRoles = ['public', 'viewer'] as const;
export type RouteRole = (typeof routeRoles)[number];

/** @throws EngineError UNAUTHENTICATED or FORBIDDEN to refuse. Not asked for `public` routes */
export type AuthorizeRoute = (role: RouteRole, caller: Caller) => void;

/** A JSON schema, as far as answers are described here. */
export interface JsonSchema {
  readonly type?: string | readonly string[];
  readonly description?: string;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
  readonly items?: JsonSchema;
  readonly enum?: readonly (string | null)[];
  readonly additionalProperties?: boolean | JsonSchema;
  readonly $ref?: string;
}

export interface RouteRequest {
  /** Values of the `:names` of the path. */
  readonly parameters: Readonly<Record<string, string>>;
}

export interface RouteAnswer {
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
}

/** One thing that can be read. All are GET. */
export interface Route {
  /** With `:names` for what varies. */
  readonly path: string;
  readonly role: RouteRole;
  /** One line, for the description of the API. */
  readonly summary: string;
  /** Name of the schema of the answer; null: no JSON. */
  readonly answer: string | null;
  /** @throws EngineError what was asked for is not there, or another process has to be asked */
  handle(request: RouteRequest): Promise<RouteAnswer> | RouteAnswer;
}

/** An answer in JSON. Numbers that JSON has not (no watermark yet) are null. */
export function jsonAnswer(value: unknown, status = 200): RouteAnswer {
  return { status, contentType: 'application/json; charset=utf-8', body: JSON.stringify(value) };
}

/** What callers see of an error: no stack, no cause. */
export function errorBody({ code, message, retry, ids }: EngineError): Record<string, unknown> {
  return { error: { code, message, retry, ids } };
}
