/** Job stores on etcd for tests: a fresh prefix each, with a leader's key to guard the writes. */
import { LocalDirectoryStore } from '../../storage/local-directory.ts';
import { MemoryFileSystem } from '../../storage/memory-file-system.test-support.ts';
import { ClusterMarker } from '../store/cluster-marker.ts';
import type { EtcdApi } from './etcd-api.ts';
import { EtcdJobStore } from './etcd-job-store.ts';
import { leaderKeyOf } from './etcd-keys.ts';

let prefixes = 0;

export class EtcdTerm {
  readonly etcd: EtcdApi;
  readonly prefix: string;
  readonly objects = new LocalDirectoryStore('/state', new MemoryFileSystem());
  leaderEpoch = 0;

  private constructor(etcd: EtcdApi) {
    this.etcd = etcd;
    this.prefix = `/test-${++prefixes}`;
  }

  static async start(etcd: EtcdApi): Promise<EtcdTerm> {
    const term = new EtcdTerm(etcd);
    await term.nextLeader();
    return term;
  }

  /** Another leader has the key from now on. */
  async nextLeader(): Promise<void> {
    const key = leaderKeyOf(this.prefix);
    await this.etcd.transact({ when: [], apply: [{ kind: 'delete', key }], otherwise: [] });
    const put = { kind: 'put' as const, key, value: '{}' };
    this.leaderEpoch = (await this.etcd.transact({ when: [], apply: [put], otherwise: [] })).revision;
  }

  /** The store of the leader that has the key now. */
  store(): EtcdJobStore {
    const { etcd, prefix, objects, leaderEpoch } = this;
    const progress = { marker: new ClusterMarker(objects), clusterId: 'cluster' };
    return new EtcdJobStore({ etcd, prefix, objects, leaderEpoch, progress });
  }
}
