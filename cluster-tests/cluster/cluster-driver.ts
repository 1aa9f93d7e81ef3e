/**
 * A cluster under test, whatever it is made of: processes of this machine (`process-driver.ts`), or containers. Names of
 * members: `job-manager-1`, …, `task-manager-1`, …, and `etcd` where there is one.
 */
export interface ClusterDriver {
  /** Addresses of the job managers, for clients. */
  readonly jobManagers: readonly string[];
  readonly members: readonly string[];
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

/** The member at an address. */
export function memberAt(driver: ClusterDriver, address: string): string {
  const index = driver.jobManagers.indexOf(address);
  if (index < 0) throw new Error(`${address} is none of ${driver.jobManagers.join(', ')}`);
  return `job-manager-${index + 1}`;
}
