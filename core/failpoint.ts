/**
 * Crash points: named places between two durable effects, where a test kills the process to see that what was done before
 * and what is missing after it come together at the next start. `MILLRACE_FAILPOINT=name` kills at the first time the place
 * is reached, `name:3` at the third. Without the variable a point is one comparison.
 *
 * A new durable effect gets a point before and after it. The crash point test enumerates this list, so a name here that is
 * reached nowhere fails it.
 */
export const failpointNames = [
  'store.object-written',
  'store.object-renamed',
  'task-manager.file-written',
  'task-manager.checkpoint-complete',
  'job-store.counter-advanced',
  'job-store.manifest-written',
  'job-store.pointer-set',
  'job-store.object-deleted',
  'job-store.terminal-recorded',
  'slot.restored',
  'slot.opened',
  'sink-committer.commit-due',
  'sink-committer.committed',
  'file-sink.part-sealed',
  'file-sink.prepared',
  'file-sink.part-adopted',
  'file-sink.intent-noted',
  'file-sink.part-renamed',
  'file-sink.all-renamed',
  'file-sink.commit-noted',
  'file-sink.leftover-removed',
] as const;

export type FailpointName = (typeof failpointNames)[number];

const [armed = '', times = '1'] = (process.env['MILLRACE_FAILPOINT'] ?? '').split(':');
let timesLeft = Number(times);

/** Ends the process as SIGKILL does when this place is armed. */
export function failpoint(name: FailpointName): void {
  if (armed !== name) return;
  timesLeft--;
  if (timesLeft === 0) process.kill(process.pid, 'SIGKILL');
}
