import fc from 'fast-check';
import { expect, test } from 'vitest';
import { errorCodes } from '../../core/errors.ts';
import type { WireError } from '../../core/errors.ts';
import { subtaskStates } from '../messages.ts';
import type { CheckpointAcknowledgement, Manifest, SubtaskStateReport } from '../messages.ts';
import * as codecs from './codecs.ts';
import { decodeManifest, encodeManifest } from './manifest.ts';

const name = fc.string({ minLength: 1, unit: 'grapheme' });
const number = fc.maxSafeNat();
const uint32 = fc.integer({ min: 0, max: 0xffff_ffff });
const attempt = fc.record({ leaderEpoch: number, jobId: name, attempt: number });
const object = fc.record({ name, sha256: name, bytes: number });
const subtask = fc.record({ vertexId: name, subtaskIndex: uint32 });
const stateFile = fc.record({ object, rows: number, keyGroupFirst: uint32, keyGroupLast: uint32 });
const snapshotInfo = fc.record({
  subtask,
  afterEnd: fc.boolean(),
  rows: number,
  bytes: number,
  alignmentMs: number,
  sourceRecords: number,
});
const dictionary = <T>(value: fc.Arbitrary<T>) => fc.dictionary(name, value, { noNullPrototype: true });
const { error } = fc.letrec<{ error: WireError }>((tie) => ({
  error: fc.record({
    code: fc.constantFrom(...errorCodes),
    domain: fc.constantFrom('user' as const, 'external' as const, 'internal' as const),
    retry: fc.constantFrom('never' as const, 'backoff' as const),
    message: fc.string(),
    ids: dictionary(fc.string()),
    stack: fc.string(),
    cause: fc.option(tie('error'), { maxDepth: 2 }),
  }),
}));

const manifest: fc.Arbitrary<Manifest> = fc.record({
  formatVersion: fc.constant(1),
  jobName: name,
  graphHash: name,
  attempt: number,
  checkpointId: number,
  triggeredAtMs: number,
  completedAtMs: number,
  maxParallelism: uint32,
  files: fc.array(fc.record({ file: stateFile, base: fc.boolean(), checkpointId: number }), { maxLength: 4 }),
  finished: fc.array(subtask, { maxLength: 3 }),
  subtasks: fc.array(snapshotInfo, { maxLength: 3 }),
  vertexParallelism: dictionary(uint32),
});

test('a subtask state report survives the wire for every state and error', () => {
  const report: fc.Arbitrary<SubtaskStateReport> = fc.record({
    attempt,
    taskManagerId: name,
    subtask,
    state: fc.constantFrom(...subtaskStates),
    inputEnded: fc.boolean(),
    error: fc.option(error),
  });
  fc.assert(
    fc.property(report, (value) => {
      expect(codecs.subtaskStateReport.decode(codecs.subtaskStateReport.encode(value))).toEqual(value);
    }),
  );
});

test('a checkpoint acknowledgement survives the wire with and without a file', () => {
  const acknowledgement: fc.Arbitrary<CheckpointAcknowledgement> = fc.record({
    attempt,
    taskManagerId: name,
    checkpointId: number,
    subtasks: fc.array(snapshotInfo, { maxLength: 3 }),
    file: fc.option(stateFile),
  });
  fc.assert(
    fc.property(acknowledgement, (value) => {
      const codec = codecs.checkpointAcknowledgement;
      expect(codec.decode(codec.encode(value))).toEqual(value);
    }),
  );
});

test('a manifest survives encoding', () => {
  fc.assert(
    fc.property(manifest, (value) => {
      expect(decodeManifest(encodeManifest(value))).toEqual(value);
    }),
  );
});

test('the remaining messages survive the wire', () => {
  const attemptRef = { leaderEpoch: 7, jobId: 'job', attempt: 3 };
  const ref = { name: 'job/file', sha256: 'ab', bytes: 12 };
  const slice = { slotIndex: 1, subtasks: [{ vertexId: 'v', subtaskIndex: 0 }] };
  const address = { slotIndex: 1, host: 'localhost', port: 6123 };
  const failure: WireError = {
    code: 'INTERNAL',
    domain: 'internal',
    retry: 'backoff',
    message: 'm',
    ids: {},
    stack: '',
    cause: null,
  };
  const metrics = {
    subtask: { vertexId: 'v', subtaskIndex: 1 },
    recordsIn: 1,
    recordsOut: 2,
    lateRecords: 3,
    watermarkMs: Number.NEGATIVE_INFINITY,
    busyMs: 4,
    backPressuredMs: 5,
    idleMs: 6,
    bytesIn: 7,
    bytesOut: 8,
    counters: { __proto__x: 1, skipped: 2 },
  };
  const roundTrip = <T>(codec: { encode(value: T): Uint8Array; decode(bytes: Uint8Array): T }, value: T): void => {
    expect(codec.decode(codec.encode(value))).toEqual(value);
  };
  roundTrip(codecs.deploySlotsRequest, {
    attempt: attemptRef,
    graph: ref,
    artifact: ref,
    restoreManifest: null,
    slices: [slice],
    finished: [{ vertexId: 'w', subtaskIndex: 2 }],
    workingDirectory: '/home/somebody',
    graphHash: 'cd',
    currentAttempts: [2, 2 ** 40],
  });
  roundTrip(codecs.connectSlotsRequest, { attempt: attemptRef, slots: [address], slices: [slice] });
  roundTrip(codecs.cancelAttemptRequest, { attempt: attemptRef, cancelTimeoutMs: 5000 });
  roundTrip(codecs.triggerCheckpointRequest, {
    attempt: attemptRef,
    checkpointId: 4,
    triggeredAtMs: 5,
    stop: false,
    drain: false,
  });
  roundTrip(codecs.notifyCheckpointRequest, { attempt: attemptRef, checkpointId: 4 });
  roundTrip(codecs.mergeFilesRequest, { attempt: attemptRef, mergeId: 1, inputs: [ref, ref] });
  const subtask = { vertexId: 'v', subtaskIndex: 0 };
  roundTrip(codecs.registerTaskManagerRequest, {
    taskManagerId: 't',
    slotCount: 2,
    host: 'h',
    engineVersion: '0.1.0',
    dataHost: 'd',
    rpcAddress: 'h:6124',
    running: [
      {
        attempt: attemptRef,
        graphSha256: 'cd',
        slices: [slice],
        subtasks: [
          { subtask, state: 'running', inputEnded: true, error: null },
          { subtask, state: 'failed', inputEnded: false, error: failure },
        ],
        pendingCheckpointIds: [4, 2 ** 40],
        endedSlots: [1],
        currentAttempts: [1],
      },
    ],
  });
  roundTrip(codecs.adoptAttemptRequest, { attempt: attemptRef, completedCheckpointId: 4 });
  roundTrip(codecs.registerTaskManagerResponse, { leaderEpoch: 9 });
  roundTrip(codecs.heartbeatRequest, {
    taskManagerId: 't',
    leaderEpoch: 9,
    attempts: [{ attempt: attemptRef, metrics: [metrics] }],
  });
  roundTrip(codecs.slotListeningReport, { attempt: attemptRef, taskManagerId: 't', address });
  roundTrip(codecs.slotEndedReport, { attempt: attemptRef, taskManagerId: 't', slotIndex: 1, error: failure });
  roundTrip(codecs.checkpointDecline, { attempt: attemptRef, taskManagerId: 't', checkpointId: 2, error: failure });
  const groups = [Number.NEGATIVE_INFINITY, 17.5, Number.POSITIVE_INFINITY].map((watermarkMs, index) => ({
    group: `g${index}`,
    watermarkMs,
  }));
  roundTrip(codecs.alignmentReport, { attempt: attemptRef, taskManagerId: 't', slotIndex: 0, groups });
  roundTrip(codecs.alignmentAnswer, { groups });
  const lines = [{ timeMs: 1, level: 'warn' as const, jobId: 'job.1', text: 'x' }];
  roundTrip(codecs.logReport, { taskManagerId: 't', leaderEpoch: 1, firstNumber: 7, lines });
  roundTrip(codecs.mergeReport, { attempt: attemptRef, taskManagerId: 't', mergeId: 2, base: null, error: failure });
});

test('decoding refuses malformed bytes with PROTOCOL and nothing else', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
      try {
        codecs.checkpointAcknowledgement.decode(bytes);
      } catch (refusal) {
        expect(refusal).toMatchObject({ name: 'EngineError', code: 'PROTOCOL' });
      }
    }),
  );
  expect(() => codecs.registerTaskManagerRequest.decode(new Uint8Array())).toThrowError(/taskManagerId/);
});

test('decoding refuses a truncated manifest', () => {
  fc.assert(
    fc.property(manifest, fc.nat(), (value, cut) => {
      const bytes = encodeManifest(value);
      const shorter = bytes.subarray(0, cut % bytes.length);
      try {
        expect(decodeManifest(shorter)).not.toEqual(value);
      } catch (refusal) {
        expect(refusal).toMatchObject({ code: expect.stringMatching(/PROTOCOL|CHECKPOINT_UNREADABLE/) });
      }
    }),
  );
});

test('encoding refuses a number that JavaScript cannot hold exactly', () => {
  const value = { leaderEpoch: 2 ** 53 };
  expect(() => codecs.registerTaskManagerResponse.encode(value)).toThrowError(/leaderEpoch/);
});
