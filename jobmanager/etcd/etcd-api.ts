/**
 * The few calls of etcd that Millrace uses, as plain data, so that leadership and the job store run against etcd and against
 * the simulator's model of it alike. Everything that changes keys is one transaction. Nothing here retries a change: a call
 * that rejects may have been applied, and only the caller can tell what that means.
 */

/** A key as etcd has it. Revisions count changes of the whole store and stay below 2^53. */
export interface EtcdKey {
  readonly key: string;
  readonly value: string;
  /** Revision at which the key came into being; another one after it was deleted and made again. */
  readonly createRevision: number;
  /** Revision of its last change. */
  readonly modRevision: number;
  /** Id of the lease it goes away with; '0' when it stays. */
  readonly leaseId: string;
}

/** A condition of a transaction; a key that does not exist has revision 0. */
export interface EtcdCompare {
  readonly key: string;
  readonly target: 'create-revision' | 'mod-revision';
  readonly equals: number;
}

export type EtcdOperation =
  | { readonly kind: 'put'; readonly key: string; readonly value: string; readonly leaseId?: string }
  | { readonly kind: 'get'; readonly key: string }
  /** Keys that start with `prefix` and come after `after` (all when empty), in order, at most `limit`. */
  | { readonly kind: 'list'; readonly prefix: string; readonly after: string; readonly limit: number }
  | { readonly kind: 'delete'; readonly key: string }
  | { readonly kind: 'delete-all'; readonly prefix: string };

export interface EtcdTransaction {
  /** All must hold for `apply`, else `otherwise` is done. */
  readonly when: readonly EtcdCompare[];
  /** No key may be changed by two operations: etcd refuses that. */
  readonly apply: readonly EtcdOperation[];
  readonly otherwise: readonly EtcdOperation[];
}

export interface EtcdTransactionResult {
  /** True when `apply` was done. */
  readonly succeeded: boolean;
  /** Of the store after the transaction. */
  readonly revision: number;
  /** For each operation done: what a `get` or `list` found; empty for the others. */
  readonly found: readonly (readonly EtcdKey[])[];
}

export interface EtcdLease {
  readonly leaseId: string;
  /** As granted: at least what was asked for. */
  readonly ttlMs: number;
}

export interface EtcdWatchHandlers {
  /** The watched key has changed; null: it is gone. */
  onChange(change: { readonly revision: number; readonly key: EtcdKey | null }): void;
  /** The watch is over, for `reason` (broken, compacted): read the key and watch again. Called at most once. */
  onEnd(reason: string): void;
}

/** Every promise settles within a deadline; a rejection is an EngineError and means "perhaps" for whatever changes something. */
export interface EtcdApi {
  /** @throws EngineError CLUSTER_UNAVAILABLE, STORAGE_FULL, UNAUTHENTICATED, FORBIDDEN, STORAGE_FAILED */
  transact(transaction: EtcdTransaction): Promise<EtcdTransactionResult>;
  /** @param ttlMs rounded up to whole seconds; etcd may give more */
  grantLease(ttlMs: number): Promise<EtcdLease>;
  /** A lease that is gone is no error. */
  revokeLease(leaseId: string): Promise<void>;
  /** Starts the time of a lease anew and tells it; 0 when the lease is gone. */
  keepAlive(leaseId: string): Promise<number>;
  /** Tells changes of one key from `fromRevision` on, until the returned function is called. */
  watch(key: string, fromRevision: number, handlers: EtcdWatchHandlers): () => void;
}

/** What one `get` in a transaction found. */
export function foundKey(result: EtcdTransactionResult, index: number): EtcdKey | null {
  return result.found[index]?.[0] ?? null;
}

/** Reads one key. */
export async function readKey(
  etcd: EtcdApi,
  key: string,
): Promise<{ readonly revision: number; readonly key: EtcdKey | null }> {
  const result = await etcd.transact({ when: [], apply: [{ kind: 'get', key }], otherwise: [] });
  return { revision: result.revision, key: foundKey(result, 0) };
}
