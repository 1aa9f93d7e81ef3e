/** The model of etcd behind the interface of the real one, answering at once: for contract tests. */
import { EngineError } from '../../core/errors.ts';
import type {
  EtcdApi,
  EtcdLease,
  EtcdTransaction,
  EtcdTransactionResult,
  EtcdWatchHandlers,
} from '../../jobmanager/etcd/etcd-api.ts';
import { EtcdModel, EtcdRefusal } from './etcd-model.ts';

export class ModelEtcd implements EtcdApi {
  readonly model: EtcdModel;
  /** Called before and after each transaction is applied; what it throws is what the caller gets. */
  fault: (moment: 'before' | 'after', transaction: EtcdTransaction) => void = () => undefined;
  readonly #nowMs: () => number;
  readonly #watches = new Set<() => void>();

  constructor(model = new EtcdModel(), nowMs: () => number = () => 0) {
    this.model = model;
    this.#nowMs = nowMs;
  }

  async transact(transaction: EtcdTransaction): Promise<EtcdTransactionResult> {
    this.fault('before', transaction);
    const result = refusing(() => this.model.transact(transaction));
    this.#tellWatches();
    this.fault('after', transaction);
    return result;
  }

  async grantLease(ttlMs: number): Promise<EtcdLease> {
    return this.model.grantLease(ttlMs, this.#nowMs());
  }

  async revokeLease(leaseId: string): Promise<void> {
    this.model.revokeLease(leaseId);
    this.#tellWatches();
  }

  async keepAlive(leaseId: string): Promise<number> {
    return this.model.keepAlive(leaseId, this.#nowMs());
  }

  watch(key: string, fromRevision: number, handlers: EtcdWatchHandlers): () => void {
    let next = fromRevision;
    const tell = (): void => {
      const changes = this.model.changesFrom(key, next);
      if (changes === null) {
        this.#watches.delete(tell);
        handlers.onEnd('etcd has compacted the changes');
        return;
      }
      next = this.model.revision + 1;
      for (const { revision, value } of changes) handlers.onChange({ revision, key: value });
    };
    this.#watches.add(tell);
    tell();
    return () => this.#watches.delete(tell);
  }

  #tellWatches(): void {
    for (const tell of [...this.#watches]) tell();
  }
}

function refusing<T>(operate: () => T): T {
  try {
    return operate();
  } catch (cause) {
    if (!(cause instanceof EtcdRefusal)) throw cause;
    throw new EngineError('STORAGE_FAILED', cause.message, { domain: 'external', cause });
  }
}
