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

export class ClusterMarker {
  readonly #objects: ObjectStore;

  constructor(objects: ObjectStore) {
    this.#objects = objects;
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
    const state = clusterId === null ? 'knows nothing of it' : `is at revision ${revision}`;
    const message =
      `checkpoint storage ${this.#objects.root} was last used by cluster ${owner.clusterId} at etcd revision ${owner.revision}, but etcd ${state}: ` +
      'it was restored from an older backup, was emptied, or is another one → restore the newest backup of etcd or correct its endpoints and prefix; ' +
      'to begin anew use an empty storage and restore jobs from savepoints';
    const ids = { cluster: owner.clusterId, revision: owner.revision, storage: this.#objects.root };
    throw new EngineError('CHECKPOINT_UNREADABLE', message, { domain: 'external', ids });
  }

  /** Notes that the cluster has come this far; durable when resolved. Noting it again is no error. */
  async note(clusterId: string, revision: number): Promise<void> {
    const name = `${folder}${clusterId}/${revision}`;
    const before = await this.#markers();
    if (before.some((marker) => marker.clusterId === clusterId && marker.revision >= revision)) return;
    await this.#objects.put(name, Buffer.from(`${JSON.stringify({ clusterId, revision })}\n`));
    for (const marker of before) if (marker.clusterId === clusterId) await this.#objects.delete(marker.name);
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
