/**
 * Gateways of a process that leads at times: calls go to the term of leadership that is now, and are refused with
 * NOT_LEADER, naming who leads, while there is none. Services stay served through all terms.
 */
import { EngineError } from '../../core/errors.ts';
import type { ClientGateway, ClientRequests, JobManagerGateway } from '../services.ts';
import { clientMethods } from './client-methods.ts';
import { callGateway, gatewayOf, jobManagerMethods, type UnaryMethods } from './methods.ts';

/** Who leads, as far as it is known. */
export interface KnownLeader {
  /** `host:port`. */
  readonly address: string;
  readonly epoch: number;
}

export interface Term<Gateway> {
  /** Of the term that is now; null while this process does not lead. Asked for every call. */
  current(): Gateway | null;
  leader(): KnownLeader | null;
}

/** The error of a job manager that does not lead. Clients and task managers go on with `leaderAddress`. */
export function notLeader(leader: KnownLeader | null): EngineError {
  const message =
    leader === null
      ? 'this job manager does not lead, and knows nobody who does; try again soon'
      : `this job manager does not lead; ${leader.address} does`;
  const ids: Record<string, string | number> =
    leader === null ? {} : { leaderAddress: leader.address, leaderEpoch: leader.epoch };
  return new EngineError('NOT_LEADER', message, { domain: 'external', retry: 'backoff', ids });
}

function orRefuse<Gateway>(term: Term<Gateway>): Gateway {
  const current = term.current();
  if (current === null) throw notLeader(term.leader());
  return current;
}

function whileLeading<Gateway>(methods: UnaryMethods<Gateway>, term: Term<Gateway>): Gateway {
  return gatewayOf(methods, async (name, _method, request) => await callGateway(orRefuse(term), name, request));
}

/** What task managers reach. */
export function jobManagerWhileLeading(term: Term<JobManagerGateway>): JobManagerGateway {
  return whileLeading(jobManagerMethods, term);
}

/** What clients reach. */
export function clientsWhileLeading(term: Term<ClientGateway>): ClientGateway {
  return {
    ...whileLeading<ClientRequests>(clientMethods, term),
    putObject: async (header, chunks) => await orRefuse(term).putObject(header, chunks),
    tailLogs: async function* (request, signal) {
      yield* orRefuse(term).tailLogs(request, signal);
    },
  };
}
