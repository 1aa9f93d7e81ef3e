/** What a new leader does before it reads anything else: sees that etcd and checkpoint storage belong together, and are not older than they were. */
import { EngineError } from '../../core/errors.ts';
import type { ClusterMarker } from '../store/cluster-marker.ts';
import { type EtcdApi, foundKey, readKey } from './etcd-api.ts';
import { clusterKeyOf, ledIn, leaderKeyOf } from './etcd-keys.ts';

export interface OpenClusterOptions {
  readonly etcd: EtcdApi;
  readonly prefix: string;
  readonly leaderEpoch: number;
  readonly marker: ClusterMarker;
  /** Id for a cluster that has none yet. */
  readonly newClusterId: string;
}

/**
 * @returns the id of the cluster
 * @throws EngineError CHECKPOINT_UNREADABLE when etcd is older than the storage has seen; CONFIG_INVALID when the storage is
 * another cluster's; STALE_EPOCH when another leader has taken over
 */
export async function openCluster(options: OpenClusterOptions): Promise<string> {
  const { etcd, prefix, marker, newClusterId } = options;
  const { revision, key } = await readKey(etcd, clusterKeyOf(prefix));
  await marker.check(key?.value ?? null, revision);
  const clusterId = key?.value ?? (await makeCluster(options, newClusterId));
  await marker.note(clusterId, revision);
  return clusterId;
}

async function makeCluster({ etcd, prefix, leaderEpoch }: OpenClusterOptions, clusterId: string): Promise<string> {
  const key = clusterKeyOf(prefix);
  const result = await etcd.transact({
    when: [ledIn(prefix, leaderEpoch), { key, target: 'create-revision', equals: 0 }],
    apply: [{ kind: 'put', key, value: clusterId }],
    otherwise: [
      { kind: 'get', key },
      { kind: 'get', key: leaderKeyOf(prefix) },
    ],
  });
  if (result.succeeded) return clusterId;
  if (foundKey(result, 1)?.createRevision !== leaderEpoch) throw staleEpoch(leaderEpoch);
  // Made by an earlier try whose answer was lost.
  return foundKey(result, 0)?.value ?? clusterId;
}

/** The error of a write that was refused because this process does not lead any more. */
export function staleEpoch(leaderEpoch: number): EngineError {
  const message = `the leader of epoch ${leaderEpoch} was replaced: nothing was written → nothing is to be done, the newer leader goes on`;
  return new EngineError('STALE_EPOCH', message, { domain: 'external', ids: { leaderEpoch } });
}
