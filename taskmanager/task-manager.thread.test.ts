/** What a task manager reports of attempts that never came to run. Real threads: built files are needed. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { AttemptRef, DeploySlotsRequest, SlotEndedReport } from '../proto/messages.ts';
import type { JobManagerGateway } from '../proto/services.ts';
import { LocalDirectoryStore } from '../storage/local-directory.ts';
import { onlyJobManager } from './leader/leader-session.ts';
import { TaskManager } from './task-manager.ts';

let directory: string;
let store: LocalDirectoryStore;
let taskManager: TaskManager;
let ended: SlotEndedReport[];

const refOf = (attempt: number): AttemptRef => ({ leaderEpoch: 1, jobId: 'job', attempt });

/** Takes every report and keeps the ends of slots. */
function recordingGateway(): JobManagerGateway {
  const taken = () => Promise.resolve({});
  return {
    registerTaskManager: () => Promise.resolve({ leaderEpoch: 1 }),
    heartbeat: taken,
    reportSlotListening: taken,
    reportSubtaskState: taken,
    reportSlotEnded: (report) => {
      ended.push(report);
      return Promise.resolve({});
    },
    acknowledgeCheckpoint: taken,
    declineCheckpoint: taken,
    reportMerge: taken,
    reportAlignment: () => Promise.resolve({ groups: [] }),
    reportLogs: taken,
  };
}

/** A deployment of two slots whose graph and artifact are in the store. */
async function deployment(attempt: number): Promise<DeploySlotsRequest> {
  const graph = await store.put(
    `graph-${attempt}`,
    Buffer.from(JSON.stringify({ name: 'job', vertices: [], edges: [] })),
  );
  const artifact = await store.put(`artifact-${attempt}`, Buffer.from('export default null;'));
  const origin = { workingDirectory: '', graphHash: 'hash', currentAttempts: [attempt] };
  const slices = [0, 1].map((slotIndex) => ({ slotIndex, subtasks: [] }));
  return { attempt: refOf(attempt), graph, artifact, restoreManifest: null, slices, finished: [], ...origin };
}

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'millrace-task-manager-'));
  store = new LocalDirectoryStore(directory);
  ended = [];
  taskManager = await TaskManager.start({
    slotCount: 2,
    host: '127.0.0.1',
    jobManagers: onlyJobManager(recordingGateway()),
    store,
    storage: { kind: 'directory', directory },
    artifactDirectory: join(directory, 'artifacts'),
    workingDirectory: directory,
    backend: 'memory',
    clusterId: 'test',
    engineVersion: '0',
    heartbeatIntervalMs: 1_000,
    slotStuckTimeoutMs: 60_000,
    dataPorts: null,
    onLog: () => undefined,
    onDelivery: () => undefined,
  });
  await taskManager.register();
});

afterEach(async () => {
  await taskManager.stop();
  rmSync(directory, { recursive: true, force: true });
});

test('a task manager reports all slots of an attempt as ended when the attempt cannot be deployed', async () => {
  const request = await deployment(1);
  await store.delete(request.graph.name);
  await expect(taskManager.deploySlots(request)).rejects.toMatchObject({ code: 'CHECKPOINT_UNREADABLE' });
  await vi.waitFor(() => expect(ended).toHaveLength(2));
  expect(
    ended.map(({ attempt, slotIndex, error }) => ({ attempt: attempt.attempt, slotIndex, code: error?.code })),
  ).toEqual([
    { attempt: 1, slotIndex: 0, code: 'CHECKPOINT_UNREADABLE' },
    { attempt: 1, slotIndex: 1, code: 'CHECKPOINT_UNREADABLE' },
  ]);
});

test('a task manager starts no slot of an attempt and reports them as ended when it was cancelled while it was deployed', async () => {
  const request = await deployment(2);
  const deployed = taskManager.deploySlots(request);
  await taskManager.cancelAttempt({ attempt: refOf(2), cancelTimeoutMs: 1_000 });
  await expect(deployed).rejects.toMatchObject({ code: 'CANCELED' });
  await vi.waitFor(() => expect(ended).toHaveLength(2));
  expect(ended.map(({ slotIndex, error }) => ({ slotIndex, code: error?.code }))).toEqual([
    { slotIndex: 0, code: 'CANCELED' },
    { slotIndex: 1, code: 'CANCELED' },
  ]);
  expect(taskManager.metrics).toEqual([]);
});
