/** What the REST API answers, as JSON schemas: the description of the API is made of them, and tests hold answers against them. */
import { errorCodes } from '../../core/errors.ts';
import { jobStates } from '../../proto/client-messages.ts';
import type { JsonSchema } from '../../operations/http/http-types.ts';
import { observedStates } from '../subtask-board.ts';

const text = (description: string): JsonSchema => ({ type: 'string', description });
const number = (description: string): JsonSchema => ({ type: 'number', description });
const orNull = ({ type, ...schema }: JsonSchema): JsonSchema => ({ ...schema, type: [type as string, 'null'] });
const listOf = (name: string): JsonSchema => ({ type: 'array', items: { $ref: `#/components/schemas/${name}` } });
const counts = (description: string): JsonSchema => {
  return { type: 'object', description, additionalProperties: { type: 'number' } };
};

function object(properties: Readonly<Record<string, JsonSchema>>): JsonSchema {
  return { type: 'object', properties, required: Object.keys(properties), additionalProperties: false };
}

const watermark = orNull(number('Event time in ms since the epoch; null before the first one and after the last one.'));
const wireError = object({
  code: { type: 'string', enum: errorCodes },
  domain: { type: 'string', enum: ['user', 'external', 'internal'] },
  retry: { type: 'string', enum: ['never', 'backoff'] },
  message: text('What happened, and what to do.'),
  ids: { type: 'object', description: 'What is concerned.', additionalProperties: { type: ['string', 'number'] } },
});

export const restSchemas: Readonly<Record<string, JsonSchema>> = {
  ClusterOverview: object({
    clusterId: text('Never changes.'),
    leaderEpoch: number('Grows with every leader.'),
    leaderAddress: text('host:port of the job manager that leads.'),
    engineVersion: text('Of the job manager.'),
    taskManagers: number('How many are registered.'),
    slots: number('Of all task managers.'),
    freeSlots: number('Slots that no job uses.'),
    jobs: counts('How many jobs are in which state.'),
  }),
  Jobs: listOf('Job'),
  Job: object({
    jobId: text('Unique for a submission.'),
    name: text('As the job file has it.'),
    state: { type: 'string', enum: jobStates },
    attempt: number('0 before the first.'),
    restarts: number('Attempts that followed a failure.'),
    submittedAtMs: number('ms since the epoch.'),
    endedAtMs: orNull(number('ms since the epoch; null while it is not over.')),
    error: {
      ...wireError,
      type: ['object', 'null'],
      description: 'Why it failed, or why its last attempt did.',
    },
    parallelism: number('Default parallelism; 0 while the graph is not read.'),
    maxParallelism: number('Number of key groups; 0 while the graph is not read.'),
    slotsNeeded: number('Slots of an attempt.'),
    slotsMissing: number('While it waits for slots: how many more are needed.'),
    progress: object({
      recordsIn: number('Records sources have handed out, across restarts.'),
      recordsOut: number('Records sinks have taken in this attempt.'),
      lateRecords: number('Records that came too late.'),
      watermarkMs: watermark,
      counters: counts('Counters of operators, summed over subtasks.'),
    }),
    lastCheckpoint: {
      ...object({
        id: number('Its number.'),
        completedAtMs: number('ms since the epoch.'),
        bytes: number('Of its files.'),
      }),
      type: ['object', 'null'],
    },
    vertices: { ...listOf('Vertex'), description: 'None in the list of jobs.' },
  }),
  Vertices: listOf('Vertex'),
  Vertex: object({
    vertexId: text('Id within the graph.'),
    name: text('Its operators.'),
    parallelism: number('Number of subtasks.'),
    subtaskStates: counts('How many subtasks are in which state.'),
    recordsIn: number('Sum over subtasks.'),
    recordsOut: number('Sum over subtasks.'),
    watermarkMs: watermark,
    busy: number('Share of the time, 0 to 1.'),
    backPressured: number('Share of the time, 0 to 1.'),
  }),
  Subtasks: listOf('Subtask'),
  Subtask: object({
    subtaskIndex: number('From 0.'),
    state: { type: ['string', 'null'], enum: [...observedStates, null], description: 'Null before it was deployed.' },
    taskManagerId: orNull(text('Where it runs or ran last.')),
    slotIndex: orNull(number('Slot of the attempt.')),
    recordsIn: number('In this attempt.'),
    recordsOut: number('In this attempt.'),
    bytesIn: number('From other slots, in this attempt.'),
    bytesOut: number('To other slots, in this attempt.'),
    lateRecords: number('Records that came too late.'),
    watermarkMs: watermark,
    busyMs: number('Time it worked.'),
    idleMs: number('Time it had nothing to do.'),
    backPressuredMs: number('Time it waited for room downstream.'),
    counters: counts('Counters of its operators.'),
    checkpointBytes: orNull(number('What it wrote for the newest checkpoint.')),
    checkpointRows: orNull(number('Rows it wrote for the newest checkpoint.')),
    alignmentMs: orNull(number('Alignment of barriers in the newest checkpoint.')),
  }),
  Checkpoints: object({
    completed: number('In this term of the leader.'),
    failed: number('In this term of the leader.'),
    newest: { ...listOf('Checkpoint'), description: 'Newest first, a bounded number.' },
  }),
  Checkpoint: object({
    id: number('Its number.'),
    status: { type: 'string', enum: ['completed', 'failed'] },
    endedAtMs: number('ms since the epoch.'),
    durationMs: orNull(number('From the trigger to the completion.')),
    bytes: orNull(number('What the subtasks wrote.')),
    stateBytes: orNull(number('All files that a restore reads.')),
    alignmentMs: orNull(number('Longest alignment of a subtask.')),
    reason: orNull(text('Why it was given up.')),
  }),
  Exceptions: object({
    restarts: number('In this term of the leader.'),
    newest: { ...listOf('JobException'), description: 'Newest first, a bounded number.' },
  }),
  JobException: object({
    atMs: number('ms since the epoch.'),
    attempt: number('Which failed.'),
    restarts: { type: 'boolean', description: 'Whether another attempt followed.' },
    error: wireError,
  }),
  TaskManagers: listOf('TaskManager'),
  TaskManager: object({
    id: text('Unique for a process.'),
    host: text('Where others reach it.'),
    slots: number('How many it has.'),
    freeSlots: number('Which no job uses.'),
    lastHeardMs: number('How long ago, in ms.'),
    engineVersion: text('Of the task manager.'),
  }),
  Health: object({ status: { type: 'string', enum: ['ok', 'ready', 'not-ready'] } }),
  Error: object({
    error: object({
      code: { type: 'string', enum: errorCodes },
      message: text('What happened, and what to do.'),
      retry: { type: 'string', enum: ['never', 'backoff'] },
      ids: {
        type: 'object',
        description: 'What is concerned; of a standby: leaderAddress.',
        additionalProperties: { type: ['string', 'number'] },
      },
    }),
  }),
};
