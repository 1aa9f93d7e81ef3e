/**
 * etcd as the simulated world has it: revisions, guarded transactions, leases that end by the server's time, the history that
 * watches read, compaction. Nothing about networks: delays, lost answers and unavailable intervals are added by whoever asks
 * (`simulated-etcd.ts`). `cluster-tests/etcd/etcd-model.test.ts` runs the same random operations here and on a real etcd.
 */
import type {
  EtcdCompare,
  EtcdKey,
  EtcdLease,
  EtcdOperation,
  EtcdTransaction,
  EtcdTransactionResult,
} from '../../jobmanager/etcd/etcd-api.ts';

/** What etcd refuses. */
export class EtcdRefusal extends Error {}

export interface EtcdChange {
  readonly revision: number;
  readonly key: string;
  /** Null: it was deleted. */
  readonly value: EtcdKey | null;
}

interface Lease {
  readonly ttlMs: number;
  endsAtMs: number;
}

/** A real one takes no shorter lease: three halves of its election timeout, in whole seconds. */
const leaseTtlMsMin = 2_000;

export class EtcdModel {
  #revision: number;
  #compacted = 0;
  #leaseCount = 0;
  readonly #keys = new Map<string, EtcdKey>();
  readonly #leases = new Map<string, Lease>();
  #history: EtcdChange[] = [];

  /** @param revision of a fresh etcd */
  constructor(revision = 1) {
    this.#revision = revision;
  }

  get revision(): number {
    return this.#revision;
  }

  /** Changes before this revision are forgotten. */
  get compacted(): number {
    return this.#compacted;
  }

  /** @throws EtcdRefusal */
  transact({ when, apply, otherwise }: EtcdTransaction): EtcdTransactionResult {
    const succeeded = when.every((compare) => this.#holds(compare));
    for (const branch of [apply, otherwise]) refuseDuplicates(branch);
    const operations = succeeded ? apply : otherwise;
    for (const operation of operations) this.#refuseUnknownLease(operation);
    const changes: EtcdChange[] = [];
    const found = operations.map((operation) => this.#operate(operation, changes));
    this.#commit(changes);
    return { succeeded, revision: this.#revision, found };
  }

  grantLease(ttlMs: number, nowMs: number): EtcdLease {
    const granted = Math.max(leaseTtlMsMin, Math.ceil(ttlMs / 1000) * 1000);
    const leaseId = String(++this.#leaseCount);
    this.#leases.set(leaseId, { ttlMs: granted, endsAtMs: nowMs + granted });
    return { leaseId, ttlMs: granted };
  }

  /** Its time from now on; 0 when it is gone. */
  keepAlive(leaseId: string, nowMs: number): number {
    const lease = this.#leases.get(leaseId);
    if (lease === undefined) return 0;
    lease.endsAtMs = nowMs + lease.ttlMs;
    return lease.ttlMs;
  }

  /** Deletes the keys of a lease, all in one revision. One that is gone is no error. */
  revokeLease(leaseId: string): void {
    if (!this.#leases.delete(leaseId)) return;
    const changes: EtcdChange[] = [];
    for (const { key, leaseId: held } of [...this.#keys.values()].sort(byKey)) {
      if (held === leaseId) this.#delete(key, changes);
    }
    this.#commit(changes);
  }

  /** Ends the leases whose time is over, and tells when the next one would end. */
  expire(nowMs: number): number {
    let next = Number.POSITIVE_INFINITY;
    for (const [leaseId, { endsAtMs }] of [...this.#leases]) {
      if (endsAtMs <= nowMs) this.revokeLease(leaseId);
      else next = Math.min(next, endsAtMs);
    }
    return next;
  }

  /** Another member of etcd leads now: it knows only that leases existed, so each has its whole time again. */
  newServerLeader(nowMs: number): void {
    for (const lease of this.#leases.values()) lease.endsAtMs = nowMs + lease.ttlMs;
  }

  /**
   * Forgets the changes before a revision, and deletions at it too: a watch that starts there never hears of them, which is
   * why nobody may rely on a watch alone. @throws EtcdRefusal
   */
  compact(revision: number): void {
    if (revision > this.#revision) throw new EtcdRefusal('required revision is a future revision');
    if (revision <= this.#compacted) throw new EtcdRefusal('required revision has been compacted');
    this.#compacted = revision;
    const kept = (change: EtcdChange): boolean =>
      change.revision > revision || (change.revision === revision && change.value !== null);
    this.#history = this.#history.filter(kept);
  }

  /** Changes of a key from a revision on; null when some of them are forgotten. */
  changesFrom(key: string, revision: number): readonly EtcdChange[] | null {
    if (revision < this.#compacted) return null;
    return this.#history.filter((change) => change.key === key && change.revision >= revision);
  }

  #holds({ key, target, equals }: EtcdCompare): boolean {
    const found = this.#keys.get(key);
    if (found === undefined) return equals === 0;
    return (target === 'create-revision' ? found.createRevision : found.modRevision) === equals;
  }

  #refuseUnknownLease(operation: EtcdOperation): void {
    if (operation.kind !== 'put' || operation.leaseId === undefined) return;
    if (!this.#leases.has(operation.leaseId)) throw new EtcdRefusal('requested lease not found');
  }

  #operate(operation: EtcdOperation, changes: EtcdChange[]): EtcdKey[] {
    switch (operation.kind) {
      case 'put':
        this.#put(operation.key, operation.value, operation.leaseId ?? '0', changes);
        return [];
      case 'get': {
        const found = this.#keys.get(operation.key);
        return found === undefined ? [] : [found];
      }
      case 'list': {
        const { prefix, after, limit } = operation;
        return this.#withPrefix(prefix)
          .filter(({ key }) => key > after)
          .slice(0, limit);
      }
      case 'delete':
        this.#delete(operation.key, changes);
        return [];
      case 'delete-all':
        for (const { key } of this.#withPrefix(operation.prefix)) this.#delete(key, changes);
        return [];
    }
  }

  #put(key: string, value: string, leaseId: string, changes: EtcdChange[]): void {
    const revision = this.#revision + 1;
    const createRevision = this.#keys.get(key)?.createRevision ?? revision;
    const stored = { key, value, createRevision, modRevision: revision, leaseId };
    this.#keys.set(key, stored);
    changes.push({ revision, key, value: stored });
  }

  #delete(key: string, changes: EtcdChange[]): void {
    if (this.#keys.delete(key)) changes.push({ revision: this.#revision + 1, key, value: null });
  }

  #commit(changes: readonly EtcdChange[]): void {
    if (changes.length === 0) return;
    this.#revision++;
    this.#history.push(...changes);
  }

  #withPrefix(prefix: string): EtcdKey[] {
    return [...this.#keys.values()].filter(({ key }) => key.startsWith(prefix)).sort(byKey);
  }
}

function byKey(first: EtcdKey, second: EtcdKey): number {
  return first.key < second.key ? -1 : 1;
}

/** One transaction may put a key once, and not delete it too. */
function refuseDuplicates(operations: readonly EtcdOperation[]): void {
  const put = new Set<string>();
  for (const operation of operations) {
    if (operation.kind !== 'put') continue;
    if (put.has(operation.key)) throw new EtcdRefusal('duplicate key given in txn request');
    put.add(operation.key);
  }
  for (const operation of operations) {
    const deletes = (key: string): boolean =>
      (operation.kind === 'delete' && operation.key === key) ||
      (operation.kind === 'delete-all' && key.startsWith(operation.prefix));
    if ([...put].some(deletes)) throw new EtcdRefusal('duplicate key given in txn request');
  }
}
