import fc from 'fast-check';
import { expect, test } from 'vitest';
import { errorCodes } from '../../core/errors.ts';
import { jobStates as modelStates } from '../../jobmanager/model/job-state.ts';
import { jobStates, type JobStatus, logLevels, type LogLine, objectKinds } from '../client-messages.ts';
import * as codecs from './client-codecs.ts';
import type { MessageCodec } from './message-codec.ts';

const name = fc.string({ minLength: 1, unit: 'grapheme' });
const number = fc.maxSafeNat();
const uint32 = fc.integer({ min: 0, max: 0xffff_ffff });
const watermarkMs = fc.oneof(fc.double({ noNaN: true }), fc.constant(Number.NEGATIVE_INFINITY));
const dictionary = <T>(value: fc.Arbitrary<T>) => fc.dictionary(name, value, { noNullPrototype: true });
const share = fc.double({ min: 0, max: 1, noNaN: true });

const error = fc.record({
  code: fc.constantFrom(...errorCodes),
  domain: fc.constantFrom('user' as const, 'external' as const, 'internal' as const),
  retry: fc.constantFrom('never' as const, 'backoff' as const),
  message: fc.string(),
  ids: dictionary(fc.string()),
  stack: fc.string(),
  cause: fc.constant(null),
});

const jobStatus: fc.Arbitrary<JobStatus> = fc.record({
  jobId: name,
  name,
  state: fc.constantFrom(...jobStates),
  attempt: number,
  restarts: uint32,
  submittedAtMs: number,
  endedAtMs: fc.option(number),
  error: fc.option(error),
  parallelism: uint32,
  maxParallelism: uint32,
  slotsNeeded: uint32,
  slotsMissing: uint32,
  progress: fc.record({
    recordsIn: number,
    recordsOut: number,
    lateRecords: number,
    watermarkMs,
    counters: dictionary(number),
  }),
  lastCheckpoint: fc.option(fc.record({ id: number, completedAtMs: number, bytes: number })),
  vertices: fc.array(
    fc.record({
      vertexId: name,
      name: fc.string(),
      parallelism: uint32,
      subtaskStates: dictionary(uint32),
      recordsIn: number,
      recordsOut: number,
      watermarkMs,
      busy: share,
      backPressured: share,
    }),
    { maxLength: 3 },
  ),
});

const logLine: fc.Arbitrary<LogLine> = fc.record({
  timeMs: number,
  level: fc.constantFrom(...logLevels),
  taskManagerId: fc.option(name),
  jobId: fc.option(name),
  text: fc.string(),
});

function survives<T>(codec: MessageCodec<T>, values: fc.Arbitrary<T>): void {
  fc.assert(
    fc.property(values, (value) => {
      expect(codec.decode(codec.encode(value))).toEqual(value);
    }),
  );
}

test('what is said of a job survives the wire', () => survives(codecs.jobStatus, jobStatus));

test('a log line survives the wire', () => survives(codecs.logLine, logLine));

test('a chunk of an object survives the wire with and without its header', () => {
  const header = fc.record({ kind: fc.constantFrom(...objectKinds), sha256: name, bytes: number });
  fc.assert(
    fc.property(fc.record({ header: fc.option(header), data: fc.uint8Array() }), (chunk) => {
      const { header: decoded, data } = codecs.objectChunk.decode(codecs.objectChunk.encode(chunk));
      expect(decoded).toEqual(chunk.header);
      expect(Buffer.compare(data, chunk.data)).toBe(0);
    }),
  );
});

test('a submission survives the wire with and without a savepoint to go on from', () => {
  const object = fc.record({ name, sha256: name, bytes: number });
  survives(
    codecs.submitJobRequest,
    fc.record({
      name,
      graph: object,
      artifact: object,
      graphHash: name,
      restorableGraphHashes: fc.array(name, { maxLength: 3 }),
      engineVersion: name,
      workingDirectory: name,
      restoreSavepoint: fc.option(name),
      idempotencyKey: name,
    }),
  );
});

test('0 as an id is not taken for an absent one', () => {
  const answer = { checkpointId: 0, savepointPath: null };
  expect(codecs.stopJobResponse.decode(codecs.stopJobResponse.encode(answer))).toEqual(answer);
  const absent = { checkpointId: null, savepointPath: 'p' };
  expect(codecs.stopJobResponse.decode(codecs.stopJobResponse.encode(absent))).toEqual(absent);
});

test('decoding refuses a submission without a name, and a state nobody knows', () => {
  expect(() => codecs.submitJobRequest.decode(new Uint8Array())).toThrowError(/SubmitJobRequest\.name/);
  const unknownState = codecs.logLine.encode({ timeMs: 1, level: 'info', taskManagerId: null, jobId: null, text: '' });
  unknownState[3] = 99;
  expect(() => codecs.logLine.decode(unknownState)).toThrowError(/LogLine\.level is not one of debug/);
});

test('the wire knows the states of the job master', () => {
  expect(jobStates).toEqual(modelStates);
});
