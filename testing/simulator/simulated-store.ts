/**
 * Storage of the simulated world: pointer with compare-and-set guarded by the leader's epoch, counters, terminal state and
 * objects. Survives every crash. An operation is applied and answered at different times; it may fail before it is applied,
 * or its answer may be lost after it was.
 */
import { EngineError, toWireError, type WireError } from '../../core/errors.ts';
import type { CheckpointPointer, CounterName } from '../../jobmanager/model/job-master-protocol.ts';
import type { TerminalJobState } from '../../jobmanager/model/job-state.ts';
import type { Manifest, ObjectRef } from '../../proto/messages.ts';
import { decodeManifest, encodeManifest } from '../../proto/rpc/manifest.ts';
import { hashStart, mixBytes, type Random } from './random.ts';
import type { Process, World } from './world.ts';

interface StoredBytes {
  bytes: Uint8Array;
  /** False for what a failed put left behind. */
  readonly whole: boolean;
}

export interface OperationOutcome<T> {
  readonly done: (value: T) => void;
  readonly failed: (error: WireError) => void;
}

export class SimulatedStore {
  pointer: CheckpointPointer | null = null;
  /** Of jobs that are over, from whose savepoints others have started. */
  readonly earlierPointers: CheckpointPointer[] = [];
  terminal: { readonly state: TerminalJobState; readonly error: WireError | null } | null = null;
  leaderEpoch = 0;
  downUntilMs = 0;
  fullUntilMs = 0;
  /** Set when a byte was flipped: then a job that stops loudly is right. */
  damaged = false;
  /** Told when the pointer has moved. */
  onPointer: (pointer: CheckpointPointer) => void = () => undefined;
  readonly objects = new Map<string, StoredBytes>();
  readonly #counters = { attempt: 0, checkpoint: 0 };
  readonly #world: World;
  readonly #random: Random;

  constructor(world: World) {
    this.#world = world;
    this.#random = world.random('store');
  }

  /** The next leader takes over: from now on earlier ones cannot move the pointer. */
  newLeader(): number {
    return ++this.leaderEpoch;
  }

  /** The job is over; another one with the same storage begins. Its numbers go on above those of all before. */
  beginAnotherJob(): void {
    if (this.pointer !== null) this.earlierPointers.push(this.pointer);
    this.pointer = null;
    this.terminal = null;
  }

  /** The newest attempt number given out. */
  get newestAttempt(): number {
    return this.#counters.attempt;
  }

  advanceCounter(
    process: Process,
    change: { readonly counter: CounterName; readonly leaderEpoch: number },
    outcome: OperationOutcome<number>,
  ): void {
    const { counter, leaderEpoch } = change;
    const apply = (): number => {
      if (leaderEpoch === this.leaderEpoch) return ++this.#counters[counter];
      this.#world.saw('old_leader_fenced_at_counter');
      throw new EngineError('STALE_EPOCH', `epoch ${leaderEpoch} is over`, { domain: 'external', retry: 'backoff' });
    };
    this.#operate(process, `counter ${counter}`, apply, outcome);
  }

  setPointer(
    process: Process,
    change: { readonly expected: number | null; readonly pointer: CheckpointPointer; readonly slowMs: number },
    outcome: OperationOutcome<'done' | 'conflict'>,
  ): void {
    const { expected, pointer } = change;
    const apply = (): 'done' | 'conflict' => {
      const found = this.pointer?.checkpointId ?? null;
      if (found !== expected || pointer.leaderEpoch !== this.leaderEpoch) {
        if (pointer.leaderEpoch < this.leaderEpoch) this.#world.saw('old_leader_fenced_at_pointer');
        return 'conflict';
      }
      const before = this.pointer;
      this.#world.check(
        pointer.checkpointId > (before?.checkpointId ?? 0),
        () => `pointer goes from ${before?.checkpointId} to ${pointer.checkpointId}`,
      );
      this.#world.check(
        pointer.leaderEpoch >= (before?.leaderEpoch ?? 0),
        () => `pointer of epoch ${before?.leaderEpoch} replaced by epoch ${pointer.leaderEpoch}`,
      );
      this.pointer = pointer;
      this.onPointer(pointer);
      this.checkRetained();
      return 'done';
    };
    this.#operate(process, 'pointer', apply, outcome, change.slowMs);
  }

  readPointer(process: Process, outcome: OperationOutcome<CheckpointPointer | null>): void {
    this.#operate(process, 'read pointer', () => this.pointer, outcome);
  }

  recordTerminal(
    process: Process,
    record: { readonly state: TerminalJobState; readonly error: WireError | null; readonly leaderEpoch: number },
    outcome: OperationOutcome<'done' | 'conflict'>,
  ): void {
    const { state, error } = record;
    const apply = (): 'done' | 'conflict' => {
      const { terminal } = this;
      if (record.leaderEpoch !== this.leaderEpoch) {
        this.#world.saw('old_leader_fenced_at_terminal');
        return 'conflict';
      }
      this.#world.check(
        terminal === null || terminal.state === state,
        () => `the job ended as ${terminal?.state} and again as ${state}`,
      );
      this.terminal = { state, error };
      return 'done';
    };
    this.#operate(process, 'terminal', apply, outcome);
  }

  putObject(process: Process, name: string, bytes: Uint8Array, outcome: OperationOutcome<ObjectRef>): void {
    const existing = this.objects.has(name);
    this.#world.check(!existing, () => `object ${name} is written twice`);
    if (this.#world.nowMs < this.fullUntilMs) {
      this.#world.saw('disk_full_during_checkpoint');
      this.objects.set(`${name}.torn`, { bytes: bytes.subarray(0, bytes.length >> 1), whole: false });
      const error = new EngineError('STORAGE_FULL', 'no space left', { domain: 'external', retry: 'backoff' });
      return this.#world.schedule(1, process, 'store full', () => outcome.failed(toWireError(error)));
    }
    const apply = (): ObjectRef => {
      this.objects.set(name, { bytes, whole: true });
      return { name, sha256: hashText(bytes), bytes: bytes.length };
    };
    this.#operate(process, 'put', apply, outcome);
  }

  getObject(process: Process, object: ObjectRef, outcome: OperationOutcome<Uint8Array>): void {
    this.#operate(process, 'get', () => this.#read(object), outcome);
  }

  deleteObjects(process: Process, names: readonly string[]): void {
    const apply = (): void => {
      for (const name of names) this.objects.delete(name);
      this.checkRetained();
    };
    this.#operate(process, 'delete', apply, { done: () => undefined, failed: () => undefined });
  }

  writeManifest(process: Process, jobId: string, manifest: Manifest, outcome: OperationOutcome<ObjectRef>): void {
    this.putObject(
      process,
      `${jobId}/manifests/${manifest.attempt}-${manifest.checkpointId}`,
      encodeManifest(manifest),
      outcome,
    );
  }

  readManifest(object: ObjectRef): Manifest {
    return decodeManifest(this.#read(object));
  }

  /** Every file that a retained or pinned manifest names exists, whole; pins of jobs that are over count too. */
  checkRetained(): void {
    if (this.damaged) return;
    const pinned = [this.pointer, ...this.earlierPointers].flatMap((pointer) => pointer?.pinned ?? []);
    for (const { manifest, checkpointId } of [...(this.pointer?.retained ?? []), ...pinned]) {
      for (const object of [manifest, ...this.readManifest(manifest).files.map((entry) => entry.file.object)]) {
        const stored = this.objects.get(object.name);
        this.#world.check(
          stored?.whole === true,
          () => `${object.name}, named by checkpoint ${checkpointId}, is gone or torn`,
        );
      }
    }
  }

  /** Damages one byte of one stored object of the newest checkpoint. */
  flipByte(random: Random): void {
    const newest = this.pointer?.retained[this.pointer.retained.length - 1];
    if (newest === undefined) return;
    const names = [
      newest.manifest.name,
      ...this.readManifest(newest.manifest).files.map((entry) => entry.file.object.name),
    ];
    const stored = this.objects.get(random.pick(names));
    if (stored === undefined || stored.bytes.length === 0) return;
    const bytes = stored.bytes.slice();
    const index = random.between(0, bytes.length - 1);
    bytes[index] = (bytes[index] ?? 0) ^ (1 << random.between(0, 7));
    stored.bytes = bytes;
    this.damaged = true;
  }

  #read(object: ObjectRef): Uint8Array {
    const stored = this.objects.get(object.name);
    if (stored === undefined || stored.bytes.length !== object.bytes || hashText(stored.bytes) !== object.sha256) {
      const what = stored === undefined ? 'is missing' : 'is damaged';
      throw new EngineError('CHECKPOINT_UNREADABLE', `${object.name} ${what}`, { domain: 'external' });
    }
    return stored.bytes;
  }

  #operate<T>(process: Process, label: string, apply: () => T, outcome: OperationOutcome<T>, slowMs = 0): void {
    const { storeMsMax, rates } = this.#world.configuration;
    const random = this.#random;
    const applyMs = slowMs + random.between(0, storeMsMax);
    const answerMs = applyMs + random.between(0, 3);
    const down = this.#world.nowMs < this.downUntilMs;
    const failsBefore = down || (this.#world.faultsOn && random.chance(rates.storeFails));
    const replyLost = this.#world.faultsOn && random.chance(rates.storeReplyLost);
    const error = new EngineError('STORAGE_FAILED', `store: ${label} failed`, { domain: 'external', retry: 'backoff' });
    if (failsBefore)
      return this.#world.schedule(answerMs, process, 'store failed', () => outcome.failed(toWireError(error)));
    let answer: { value: T } | { thrown: unknown } | null = null;
    // Applied whatever becomes of the process that asked.
    this.#world.schedule(applyMs, null, label, () => {
      try {
        answer = { value: apply() };
      } catch (thrown) {
        if (!(thrown instanceof EngineError)) throw thrown;
        answer = { thrown };
      }
    });
    this.#world.schedule(answerMs + 1, process, label, () => {
      if (replyLost || answer === null) outcome.failed(toWireError(error));
      else if ('thrown' in answer) outcome.failed(toWireError(answer.thrown));
      else outcome.done(answer.value);
    });
  }
}

function hashText(bytes: Uint8Array): string {
  return mixBytes(hashStart, bytes).toString(16);
}
