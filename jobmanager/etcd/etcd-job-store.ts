/**
 * Job store on etcd: names, numbers and hashes there, manifests as objects in checkpoint storage. One object belongs to one
 * term of leadership.
 *
 * Architecture invariant: every change is one transaction that holds only while this leader's own key exists (`ledIn`), so
 * whoever believes to lead but does not changes nothing, however late its write arrives (FLINK-10011, ZOOKEEPER split brain).
 * A change that rests on what was read compares its revision too. A rejected change may have been made.
 */
import { EngineError } from '../../core/errors.ts';
import { failpoint } from '../../core/failpoint.ts';
import type { Manifest, ObjectRef } from '../../proto/messages.ts';
import type { ObjectStore } from '../../storage/object-store.ts';
import type { CheckpointPointer } from '../model/job-master-protocol.ts';
import type { ClusterMarker } from '../store/cluster-marker.ts';
import { JobObjects } from '../store/job-objects.ts';
import { sameRecord, submissionOrder } from '../store/job-record.ts';
import type { JobCounter, JobRecord, JobStore, TerminalRecord } from '../store/job-store.ts';
import type { SavepointDocument } from '../store/savepoint-document.ts';
import {
  type EtcdApi,
  type EtcdCompare,
  type EtcdKey,
  type EtcdOperation,
  type EtcdTransactionResult,
  foundKey,
  readKey,
} from './etcd-api.ts';
import { jobKeyOf, jobPrefixOf, leaderKeyOf, ledIn, recordKeyOf, recordsPrefixOf } from './etcd-keys.ts';
import { staleEpoch } from './open-cluster.ts';

interface Counters {
  readonly epoch: number;
  readonly attempt: number;
  readonly checkpoint: number;
  /** True once a pointer was written. */
  readonly hasPointer: boolean;
}

const noCounters: Counters = { epoch: 0, attempt: 0, checkpoint: 0, hasPointer: false };
/** Changes of one counter that may come between; there is one leader, so one is a lot. */
const counterTriesMax = 8;
/** Records read at once: far below the 4 MiB a message may have. */
const recordsPerPage = 200;

export interface EtcdJobStoreOptions {
  readonly etcd: EtcdApi;
  readonly prefix: string;
  readonly objects: ObjectStore;
  /** The term this object belongs to. */
  readonly leaderEpoch: number;
  /** Where it is noted how far the cluster has come; null where nothing has to be. */
  readonly progress: { readonly marker: ClusterMarker; readonly clusterId: string } | null;
}

interface Change {
  readonly when: readonly EtcdCompare[];
  readonly apply: readonly EtcdOperation[];
  /** Read when nothing was changed. */
  readonly readBack: readonly string[];
}

type ChangeOutcome =
  | { readonly kind: 'done'; readonly revision: number }
  /** This leader was replaced; nothing was changed. */
  | { readonly kind: 'replaced' }
  /** Something else was found than expected; nothing was changed. */
  | { readonly kind: 'conflict'; readonly found: EtcdTransactionResult };

export class EtcdJobStore implements JobStore {
  readonly #options: EtcdJobStoreOptions;
  readonly #objects: JobObjects;
  /** Jobs of which it is known that etcd is not behind their checkpoints. */
  readonly #upToDate = new Set<string>();

  constructor(options: EtcdJobStoreOptions) {
    this.#options = options;
    this.#objects = new JobObjects(options.objects);
  }

  async createJob(record: JobRecord): Promise<'done' | 'conflict'> {
    const { prefix, progress } = this.#options;
    const key = recordKeyOf(prefix, record.jobId);
    const outcome = await this.#change(this.#options.leaderEpoch, {
      when: [{ key, target: 'create-revision', equals: 0 }],
      apply: [{ kind: 'put', key, value: JSON.stringify(record) }],
      readBack: [key],
    });
    if (outcome.kind === 'replaced') throw staleEpoch(this.#options.leaderEpoch);
    const found = outcome.kind === 'conflict' ? parse<JobRecord>(foundKey(outcome.found, 0)) : record;
    if (found === null || !sameRecord(found, record)) return 'conflict';
    const revision = outcome.kind === 'done' ? outcome.revision : outcome.found.revision;
    await progress?.marker.note(progress.clusterId, revision);
    return 'done';
  }

  async readJobs(): Promise<JobRecord[]> {
    const { etcd, prefix } = this.#options;
    const records: JobRecord[] = [];
    for (let after = ''; ; ) {
      const list = { kind: 'list' as const, prefix: recordsPrefixOf(prefix), after, limit: recordsPerPage };
      const [page = []] = (await etcd.transact({ when: [], apply: [list], otherwise: [] })).found;
      for (const key of page) records.push(parse<JobRecord>(key) as JobRecord);
      const last = page.at(-1);
      if (last === undefined || page.length < recordsPerPage) return records.sort(submissionOrder);
      after = last.key;
    }
  }

  async removeJob(jobId: string): Promise<void> {
    const { prefix } = this.#options;
    const apply = [
      { kind: 'delete' as const, key: recordKeyOf(prefix, jobId) },
      { kind: 'delete-all' as const, prefix: jobPrefixOf(prefix, jobId) },
    ];
    await this.#mustChange({ when: [], apply, readBack: [] });
  }

  async writeGraph(jobId: string, graph: ObjectRef): Promise<void> {
    const key = jobKeyOf(this.#options.prefix, jobId, 'graph');
    await this.#mustChange({ when: [], apply: [{ kind: 'put', key, value: JSON.stringify(graph) }], readBack: [] });
  }

  async readGraph(jobId: string): Promise<ObjectRef | null> {
    return parse<ObjectRef>((await readKey(this.#options.etcd, jobKeyOf(this.#options.prefix, jobId, 'graph'))).key);
  }

  async readPointer(jobId: string): Promise<CheckpointPointer | null> {
    const { pointer, counters } = await this.#read(jobId);
    await this.#checkUpToDate(jobId, counters.value);
    if (pointer.value === null && counters.value.hasPointer) throw this.#pointerMissing(jobId);
    return pointer.value;
  }

  async compareAndSetPointer(
    jobId: string,
    expected: number | null,
    pointer: CheckpointPointer,
  ): Promise<'done' | 'conflict'> {
    const before = await this.#read(jobId);
    const found = before.pointer.value;
    if ((found?.checkpointId ?? null) !== expected) return 'conflict';
    const when = [before.pointer.unchanged];
    const apply: EtcdOperation[] = [{ kind: 'put', key: before.pointer.key, value: JSON.stringify(pointer) }];
    if (!before.counters.value.hasPointer) {
      when.push(before.counters.unchanged);
      const counters = JSON.stringify({ ...before.counters.value, hasPointer: true });
      apply.push({ kind: 'put', key: before.counters.key, value: counters });
    }
    const outcome = await this.#change(pointer.leaderEpoch, { when, apply, readBack: [] });
    if (outcome.kind !== 'done') return 'conflict';
    failpoint('job-store.pointer-set');
    return 'done';
  }

  async advanceCounter(jobId: string, counter: JobCounter): Promise<number> {
    const counters = await this.#changeCounters(jobId, (before) => ({ ...before, [counter]: before[counter] + 1 }));
    failpoint('job-store.counter-advanced');
    return counters[counter];
  }

  async raiseCounters(jobId: string, above: { readonly attempt: number; readonly checkpoint: number }): Promise<void> {
    await this.#changeCounters(jobId, (before) => ({
      ...before,
      attempt: Math.max(before.attempt, above.attempt),
      checkpoint: Math.max(before.checkpoint, above.checkpoint),
    }));
  }

  async #changeCounters(jobId: string, change: (before: Counters) => Counters): Promise<Counters> {
    for (let tries = 1; tries <= counterTriesMax; tries++) {
      const { counters } = await this.#read(jobId);
      const value = change(counters.value);
      const outcome = await this.#change(this.#options.leaderEpoch, {
        when: [counters.unchanged],
        apply: [{ kind: 'put', key: counters.key, value: JSON.stringify(value) }],
        readBack: [],
      });
      if (outcome.kind === 'replaced') throw staleEpoch(this.#options.leaderEpoch);
      if (outcome.kind === 'done') return value;
    }
    const message = `the counters of job ${jobId} were changed by somebody else ${counterTriesMax} times in a row → only Millrace may write below ${this.#options.prefix} in etcd`;
    throw new EngineError('STORAGE_FAILED', message, { domain: 'external', retry: 'backoff', ids: { jobId } });
  }

  async readCounter(jobId: string, counter: JobCounter): Promise<number> {
    const { counters } = await this.#read(jobId);
    return counters.value[counter];
  }

  writeManifest(jobId: string, manifest: Manifest): Promise<ObjectRef> {
    return this.#objects.writeManifest(jobId, manifest);
  }

  readManifest(object: ObjectRef): Promise<Manifest> {
    return this.#objects.readManifest(object);
  }

  writeSavepoint(document: SavepointDocument): Promise<string> {
    return this.#objects.writeSavepoint(document);
  }

  readSavepoint(path: string): Promise<SavepointDocument> {
    return this.#objects.readSavepoint(path);
  }

  listObjects(jobId: string): Promise<string[]> {
    return this.#objects.list(jobId);
  }

  deleteObjects(names: readonly string[]): Promise<void> {
    return this.#objects.delete(names);
  }

  async readTerminal(jobId: string): Promise<TerminalRecord | null> {
    const key = jobKeyOf(this.#options.prefix, jobId, 'terminal');
    const result = await this.#options.etcd.transact({ when: [], apply: [{ kind: 'get', key }], otherwise: [] });
    return parse<TerminalRecord>(foundKey(result, 0));
  }

  async recordTerminal(jobId: string, record: TerminalRecord, leaderEpoch: number): Promise<'done' | 'conflict'> {
    const key = jobKeyOf(this.#options.prefix, jobId, 'terminal');
    const apply = [{ kind: 'put' as const, key, value: JSON.stringify(record) }];
    const outcome = await this.#change(leaderEpoch, { when: [], apply, readBack: [] });
    if (outcome.kind !== 'done') return 'conflict';
    failpoint('job-store.terminal-recorded');
    return 'done';
  }

  async clearTerminal(jobId: string): Promise<void> {
    const key = jobKeyOf(this.#options.prefix, jobId, 'terminal');
    await this.#mustChange({ when: [], apply: [{ kind: 'delete', key }], readBack: [] });
  }

  async #mustChange(change: Change): Promise<void> {
    const outcome = await this.#change(this.#options.leaderEpoch, change);
    if (outcome.kind !== 'done') throw staleEpoch(this.#options.leaderEpoch);
  }

  async #change(leaderEpoch: number, { when, apply, readBack }: Change): Promise<ChangeOutcome> {
    const { etcd, prefix } = this.#options;
    const result = await etcd.transact({
      when: [ledIn(prefix, leaderEpoch), ...when],
      apply,
      otherwise: [...readBack, leaderKeyOf(prefix)].map((key) => ({ kind: 'get' as const, key })),
    });
    if (result.succeeded) return { kind: 'done', revision: result.revision };
    const leads = foundKey(result, readBack.length)?.createRevision === leaderEpoch;
    return leads ? { kind: 'conflict', found: result } : { kind: 'replaced' };
  }

  /** Pointer and counters as of one moment. */
  async #read(jobId: string): Promise<{ pointer: Stored<CheckpointPointer | null>; counters: Stored<Counters> }> {
    const { etcd, prefix } = this.#options;
    const pointer = jobKeyOf(prefix, jobId, 'pointer');
    const counters = jobKeyOf(prefix, jobId, 'counters');
    const apply = [pointer, counters].map((key) => ({ kind: 'get' as const, key }));
    const result = await etcd.transact({ when: [], apply, otherwise: [] });
    const [pointerKey, countersKey] = [foundKey(result, 0), foundKey(result, 1)];
    return {
      pointer: { key: pointer, value: parse(pointerKey), unchanged: unchanged(pointer, pointerKey) },
      counters: { key: counters, value: parse(countersKey) ?? noCounters, unchanged: unchanged(counters, countersKey) },
    };
  }

  /**
   * Numbers of checkpoints are counted up in etcd before they are used, so a stored manifest with a higher one means that
   * etcd has forgotten something. Looked at once a term: later only this leader counts.
   */
  async #checkUpToDate(jobId: string, counters: Counters): Promise<void> {
    if (this.#upToDate.has(jobId)) return;
    const newest = await this.#objects.newestCheckpointId(jobId);
    if (newest > counters.checkpoint) {
      const message =
        `etcd knows job ${jobId} up to checkpoint ${counters.checkpoint}, but ${this.#options.objects.root} has its checkpoint ${newest}: etcd was restored from an older backup → ` +
        'restore a newer one; going on would step back behind results that are committed';
      const ids = { jobId, checkpointId: newest };
      throw new EngineError('CHECKPOINT_UNREADABLE', message, { domain: 'external', ids });
    }
    this.#upToDate.add(jobId);
  }

  #pointerMissing(jobId: string): EngineError {
    const key = jobKeyOf(this.#options.prefix, jobId, 'pointer');
    const message = `${key} is missing in etcd, but job ${jobId} had completed checkpoints → restore a backup of etcd; only Millrace may write below its prefix`;
    return new EngineError('CHECKPOINT_UNREADABLE', message, { domain: 'external', ids: { jobId, key } });
  }
}

interface Stored<T> {
  readonly key: string;
  readonly value: T;
  /** Holds while the key is as it was read. */
  readonly unchanged: EtcdCompare;
}

function unchanged(key: string, found: EtcdKey | null): EtcdCompare {
  return { key, target: 'mod-revision', equals: found?.modRevision ?? 0 };
}

/** @throws EngineError CHECKPOINT_UNREADABLE when somebody else wrote the key */
function parse<T>(found: EtcdKey | null): T | null {
  if (found === null) return null;
  try {
    return JSON.parse(found.value) as T;
  } catch (cause) {
    const message = `${found.key} in etcd is not what Millrace wrote → restore it from a backup; only Millrace may write below its prefix`;
    throw new EngineError('CHECKPOINT_UNREADABLE', message, { domain: 'external', cause, ids: { key: found.key } });
  }
}
