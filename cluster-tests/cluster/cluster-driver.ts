import type { ClusterClientOptions } from 'millrace/cluster';

/**
 * A cluster under test, whatever it is made of: processes of this machine (`process-driver.ts`), or containers. Names of
 * members: `job-manager-1`, …, `task-manager-1`, …, and `etcd` where there is one.
 */
export interface ClusterDriver {
  /** Addresses of the job managers, for clients. */
  readonly jobManagers: readonly string[];
  /** What they call themselves, in the same order. */
  readonly advertised: readonly string[];
  /** What clients show. */
  readonly access: Pick<ClusterClientOptions, 'tls' | 'token'>;
  readonly members: readonly string[];
  /** Null where links between members cannot be spoiled. */
  readonly network: ClusterNetwork | null;
  /** Ends a member at once. */
  kill(member: string): Promise<void>;
  /** Starts a member that was killed. Resolves when it listens. */
  restart(member: string): Promise<void>;
  /** Stops a member's processor time; its connections stay open. */
  pause(member: string): void;
  resume(member: string): void;
  /** What a member has written, its newest lines. */
  log(member: string): string;
  /** Ends everything and removes its files. */
  stop(): Promise<void>;
}

/** Faults of links between members. `*` is any member, and clients. */
export interface ClusterNetwork {
  /** Nothing that `from` sends arrives at `to`, whoever dialed, until it is healed. */
  cut(from: string, to: string): void;
  /** Resets the connection that carries the last of so many bytes from now on. Absent where that cannot be done. */
  resetAfter?(from: string, to: string, bytes: number): void;
  /** Takes off every fault. */
  heal(): void;
}

/** The member at an address. */
export function memberAt(driver: ClusterDriver, address: string): string {
  const index = driver.advertised.indexOf(address);
  if (index < 0) throw new Error(`${address} is none of ${driver.advertised.join(', ')}`);
  return `job-manager-${index + 1}`;
}
