/** `host:port` as people write it, and who may be reached there without encryption. */
import { EngineError } from '../../../core/errors.ts';
import { isLoopback } from '../../../core/security/loopback.ts';

export interface HostPort {
  /** Without brackets. */
  readonly host: string;
  readonly port: number;
}

/**
 * Takes `host:port` or `[IPv6]:port` apart.
 * @throws EngineError CONFIG_INVALID when it is neither
 */
export function parseHostPort(address: string): HostPort {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9._-]+)):(\d{1,5})$/.exec(address);
  const port = Number(match?.[3]);
  if (match === null || port > 65_535) {
    const message = `"${address}" is not an address; write host:port, or [address]:port for IPv6`;
    throw new EngineError('CONFIG_INVALID', message, { ids: { address } });
  }
  return { host: match[1] ?? match[2] ?? '', port };
}

export function formatHostPort({ host, port }: HostPort): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

/**
 * Refuses to speak in clear with another machine.
 * @throws EngineError CONFIG_INVALID
 */
export function refusePlaintext(host: string, what: string): void {
  if (isLoopback(host)) return;
  const message = `${what} ${host} needs TLS: give tls.ca, tls.cert and tls.key, or use an address of this machine`;
  throw new EngineError('CONFIG_INVALID', message, { ids: { host } });
}
