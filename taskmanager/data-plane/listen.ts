/** Binds a server to the first free port of a range. */
import type { Server } from 'node:net';
import { EngineError } from '../../core/errors.ts';

/** Ports to choose from, both ends inclusive. */
export interface PortRange {
  readonly first: number;
  readonly last: number;
}

/** Any free port. */
export const anyPort: PortRange = { first: 0, last: 0 };

/**
 * The port bound.
 * @throws EngineError PORT_IN_USE when no port of the range is free; TRANSPORT_FAILED when the host cannot be bound
 */
export async function listenInRange(server: Server, host: string, range: PortRange): Promise<number> {
  if (!(range.first >= 0 && range.last <= 65_535 && range.first <= range.last)) {
    throw new EngineError(
      'USAGE',
      `dataPortRange ${range.first}-${range.last} is no range of ports: give two ports from 0 to 65535, the lower first`,
    );
  }
  for (let port = range.first; port <= range.last; port++) {
    const error = await tryListen(server, host, port);
    if (error === null) return boundPort(server);
    if (error.code !== 'EADDRINUSE') throw bindError(host, port, error);
  }
  const ports = range.first === range.last ? `port ${range.first}` : `every port of ${range.first}-${range.last}`;
  const remedy = 'stop the process that holds it, or choose other ports (millrace run --data-ports 7000-7099)';
  throw new EngineError('PORT_IN_USE', `${ports} on ${host} is in use → ${remedy}`, {
    domain: 'external',
    ids: { host, port: range.first },
  });
}

function tryListen(server: Server, host: string, port: number): Promise<NodeJS.ErrnoException | null> {
  return new Promise((resolve) => {
    const settle = (error: NodeJS.ErrnoException | null): void => {
      server.off('error', settle);
      server.off('listening', listening);
      resolve(error);
    };
    const listening = (): void => settle(null);
    server.once('error', settle);
    server.once('listening', listening);
    server.listen({ host, port });
  });
}

function boundPort(server: Server): number {
  const address = server.address();
  if (address === null || typeof address === 'string')
    throw new EngineError('INTERNAL', 'the data-plane server has no TCP address', { domain: 'internal' });
  return address.port;
}

function bindError(host: string, port: number, cause: NodeJS.ErrnoException): EngineError {
  const remedy =
    cause.code === 'EACCES' ? 'choose a dataPortRange from 1024 on' : 'check the bind address of the task manager';
  return new EngineError('TRANSPORT_FAILED', `cannot listen on ${host}:${port}: ${cause.message}; ${remedy}`, {
    domain: 'external',
    cause,
    ids: { host, port },
  });
}
