/**
 * Historical bugs of other engines as small patches of our cores. A test applies each to the source, runs the simulator with the
 * patched core, and expects a violation: a simulator that finds none of its planted bugs is decoration.
 *
 * A patch is data: `find` must occur exactly once in `file`; when the core changes so that it does not, the test fails.
 */
export interface PlantedBug {
  /** The upstream report whose mistake this is; `own` for one that only our protocol can make. */
  readonly id: string;
  readonly what: string;
  readonly file: string;
  readonly find: string;
  readonly replace: string;
}

export const plantedBugs: readonly PlantedBug[] = [
  {
    id: 'FLINK-38454',
    what: 'the watermark of all-idle inputs depends on the order in which they became idle',
    file: 'runtime/time/watermark-valve.ts',
    find: 'if (watermark > group.maxIdle) group.maxIdle = watermark;',
    replace: 'group.maxIdle = watermark;',
  },
  {
    id: 'FLINK-4984',
    what: 'channels stay blocked when the checkpoint they wait for is aborted',
    file: 'runtime/checkpoint/barrier-aligner.ts',
    find: '    this.#pending = none;\n    this.#arrived.fill(false);',
    replace: '    this.#pending = none;',
  },
  {
    id: 'FLINK-21351',
    what: 'files of a dropped checkpoint are deleted although a newer one refers to them',
    file: 'jobmanager/model/file-retention.ts',
    find: 'if (count > 0) {',
    replace: 'if (count > 1_000_000) {',
  },
  {
    id: 'FLINK-19816',
    what: 'a job is restored from an older checkpoint than the newest',
    file: 'jobmanager/model/job-master.ts',
    find: 'newest?.pointer.retained[newest.pointer.retained.length - 1]?.manifest',
    replace: 'newest?.pointer.retained[0]?.manifest',
  },
  {
    id: 'iceberg#10765',
    what: 'committables of an aborted checkpoint are not committed by the next one',
    file: 'runtime/checkpoint/two-phase-committer.ts',
    find: 'const due = this.#pending.filter((entry) => entry.frozenAt <= upToCheckpointId);',
    replace: 'const due = this.#pending.filter((entry) => entry.committable.checkpointId === upToCheckpointId);',
  },
  {
    id: 'FLINK-38614',
    what: 'a job is over when all input has ended, before the last committables are committed',
    file: 'jobmanager/model/job-master.ts',
    find: 'if (this.#running.every((execution) => execution.allFinished))',
    replace: 'if (this.#running.every((execution) => execution.allInputEnded))',
  },
  {
    id: 'KAFKA-17754',
    what: 'an ambiguous answer is taken for "it did not happen"',
    file: 'jobmanager/model/checkpoint-coordinator.ts',
    find: "    this.#phase = { ...phase, step: 'reading' };\n    return { actions: [{ kind: 'read-pointer', checkpointId }] };",
    replace: '    return { actions: this.#abort(phase, "unknown") };',
  },
  {
    id: 'FLINK-10354',
    what: 'committers are notified before the checkpoint is complete',
    file: 'jobmanager/model/checkpoint-coordinator.ts',
    find: "this.#phase = { ...phase, step: 'pointing', pointer };\n    return { actions: [this.#setPointer(pointer)] };",
    replace:
      "this.#phase = { ...phase, step: 'pointing', pointer };\n    const early = this.#callEach(this.#participants, (attempt) => ({ method: 'notifyCheckpointComplete', request: { attempt, checkpointId } }));\n    return { actions: [...early, this.#setPointer(pointer)] };",
  },
  {
    id: 'FLINK-10011',
    what: 'a job that had ended is recorded again by a job manager that was replaced',
    file: 'jobmanager/model/job-master.ts',
    find: "return event.result === 'done' ? this.#terminalRecorded() : this.#stepDown(this.#fencedError());",
    replace: 'return this.#terminalRecorded();',
  },
  {
    id: 'own-1',
    what: 'a new attempt is deployed while it is open which checkpoint is the newest',
    file: 'jobmanager/model/job-master.ts',
    find: 'if (!this.#coordinator.isSettled) return;',
    replace: '',
  },
  {
    id: 'own-2',
    what: 'a new leader goes on with an attempt although a task manager of it was never heard of',
    file: 'jobmanager/model/adoption.ts',
    find: 'this.#current === null || this.missing.length > 0) return false;',
    replace: 'this.#current === null) return false;',
  },
  {
    id: 'own-4',
    what: 'a new leader takes the attempts it hears of first for those that are current',
    file: 'jobmanager/model/adoption.ts',
    find: 'if (attempt === this.#newestAttempt) this.#current',
    replace: 'if (this.#current === null) this.#current',
  },
  {
    id: 'own-5',
    what: 'a region is started again while others take part in a checkpoint that it is not part of',
    file: 'jobmanager/model/checkpoint-coordinator.ts',
    find: 'this.#allRun = false;\n    for',
    replace: 'for',
  },
  {
    id: 'own-4',
    what: 'files of a savepoint go when its checkpoint is not retained any more',
    file: 'jobmanager/model/file-retention.ts',
    find: 'this.#pinned.push(this.#add(checkpoint, manifest));',
    replace: 'this.#pinned.push({ ...checkpoint, fileNames: [] });',
  },
  {
    id: 'FLINK-26985',
    what: 'a job deletes files of the savepoint it started from',
    file: 'jobmanager/model/file-retention.ts',
    find: 'name.startsWith(this.#ownPrefix) && ',
    replace: '',
  },
  {
    id: 'own-3',
    what: 'a request of a checkpoint is answered by one that was triggered before it',
    file: 'jobmanager/checkpoint-requests.ts',
    find: 'filter(({ afterId }) => checkpointId > afterId)',
    replace: 'filter(({ afterId }) => checkpointId >= afterId)',
  },
];
