/**
 * Whose a checkpoint storage is, and how far its cluster had come: an empty object named `cluster.id/<cluster>/<revision>`,
 * with the highest revision of etcd that was noted. An etcd restored from an older backup has a lower one; going on with it
 * would step back behind results that were committed. A second cluster in the same storage has another id.
 *
 * No job's directory has this name: they contain no dot.
 */
import { EngineError } from '../../core/errors.ts';
import type { ObjectStore } from '../../storage/object-store.ts';

const folder = 'cluster.id/';

interface Marker {
  readonly name: string;
  readonly clusterId: string;
  readonly revision: number;
}

/** Where a cluster keeps its records, in words for messages. */
export interface MarkedRecords {
  readonly name: string;
  /** What its revision counts. */
  readonly revision: string;
  /** What to correct when it is the wrong one. */
  readonly remedy: string;
}

const etcdRecords: MarkedRecords = {
  name: 'etcd',
  revision: 'etcd revision',
  remedy: 'restore the newest backup of etcd or correct its endpoints and prefix',
};
/** Of a job manager without etcd, where the storage is not a directory of its own. */
export const stateDirectoryRecords: MarkedRecords = {
  name: 'the state directory',
  revision: 'epoch',
  remedy: 'restore the newest backup of the state directory or correct stateDirectory',
};

export class ClusterMarker {
  readonly #objects: ObjectStore;
  readonly #records: MarkedRecords;

  constructor(objects: ObjectStore, records: MarkedRecords = etcdRecords) {
    this.#objects = objects;
    this.#records = records;
  }

  /** The cluster the storage belongs to; null while it is nobody's. @throws EngineError CONFIG_INVALID when there are two */
  async owner(): Promise<{ readonly clusterId: string; readonly revision: number } | null> {
    let newest: Marker | null = null;
    for (const marker of await this.#markers()) {
      if (newest !== null && newest.clusterId !== marker.clusterId) throw this.#shared(newest, marker.clusterId);
      if (newest === null || marker.revision > newest.revision) newest = marker;
    }
    return newest;
  }

  /**
   * Refuses a storage that is not this cluster's, or knows more than this etcd.
   * @param clusterId null: etcd knows of no cluster
   * @throws EngineError CONFIG_INVALID, CHECKPOINT_UNREADABLE saying what to do
   */
  async check(clusterId: string | null, revision: number): Promise<void> {
    const owner = await this.owner();
    if (owner === null) return;
    if (clusterId !== null && owner.clusterId !== clusterId) throw this.#shared(owner, clusterId);
    if (clusterId !== null && owner.revision <= revision) return;
    const state =
      clusterId === null ? 'knows nothing of it' : `is at ${this.#records.revision.replace('etcd ', '')} ${revision}`;
    const message =
      `checkpoint storage ${this.#objects.root} was last used by cluster ${owner.clusterId} at ${this.#records.revision} ${owner.revision}, but ${this.#records.name} ${state}: ` +
      `it was restored from an older backup, was emptied, or is another one → ${this.#records.remedy}; ` +
      'to begin anew use an empty storage and restore jobs from savepoints';
    const ids = { cluster: owner.clusterId, revision: owner.revision, storage: this.#objects.root };
    throw new EngineError('CHECKPOINT_UNREADABLE', message, { domain: 'external', ids });
  }

  /**
   * Notes that the cluster has come this far; durable when resolved. Noting it again is no error. Of two clusters that take an
   * empty storage in the same instant at least the later one sees the other, and takes its mark back.
   * @throws EngineError CONFIG_INVALID when the storage is another cluster's
   */
  async note(clusterId: string, revision: number): Promise<void> {
    const name = `${folder}${clusterId}/${revision}`;
    const before = await this.#markers();
    if (before.some((marker) => marker.clusterId === clusterId && marker.revision >= revision)) return;
    const isFirst = !before.some((marker) => marker.clusterId === clusterId);
    const [stranger] = before;
    if (isFirst && stranger !== undefined) throw this.#shared(stranger, clusterId);
    await this.#objects.put(name, Buffer.from(`${JSON.stringify({ clusterId, revision })}\n`));
    if (isFirst) await this.#takeBackIfShared(clusterId, name);
    for (const marker of before) if (marker.clusterId === clusterId) await this.#objects.delete(marker.name);
  }

  async #takeBackIfShared(clusterId: string, name: string): Promise<void> {
    const stranger = (await this.#markers()).find((marker) => marker.clusterId !== clusterId);
    if (stranger === undefined) return;
    await this.#objects.delete(name);
    throw this.#shared(stranger, clusterId);
  }

  async #markers(): Promise<Marker[]> {
    const markers: Marker[] = [];
    for await (const { name } of this.#objects.list(folder)) {
      const [, clusterId = '', revision = ''] = name.split('/');
      markers.push({ name, clusterId, revision: Number(revision) });
    }
    return markers;
  }

  #shared(owner: { readonly clusterId: string }, other: string): EngineError {
    const message = `checkpoint storage ${this.#objects.root} belongs to cluster ${owner.clusterId}, not to ${other} → give each cluster a storage of its own`;
    const ids = { cluster: owner.clusterId, otherCluster: other, storage: this.#objects.root };
    return new EngineError('CONFIG_INVALID', message, { ids });
  }
}
