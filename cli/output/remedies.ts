/**
 * What to do about an error whose message does not say it itself. The same texts, with more room, are in docs/errors.md.
 */
import type { ErrorCode } from '../../core/errors.ts';

const remedies: Readonly<Record<ErrorCode, string>> = {
  USAGE: 'see millrace --help',
  JOB_INVALID: 'mend the job definition; millrace plan <job.ts> checks it without running it',
  JOB_NOT_DETERMINISTIC:
    'a definition must give the same graph each time: move clocks, random numbers and reads of the environment into parameters',
  GRAPH_CHANGED: 'undo the change, name another --state-dir, or drop state and results with --fresh',
  PARAMETER_INVALID: 'millrace plan <job.ts> lists the parameters of the job; write them as --name value after --',
  INPUT_NOT_FOUND: 'check the path; it is resolved against the directory the job was started in',
  INPUT_MALFORMED: 'mend the input, or choose onMalformed: skip or a dead-letter file in the source',
  VALUE_NOT_ENCODABLE: 'emit plain data only: no functions, symbols, class instances or cycles',
  KEY_NOT_SUPPORTED: 'use a string, number, bigint, boolean, Date, bytes, or an array of these as key',
  RECORD_TOO_LARGE: 'split the record, or keep large parts outside and pass a reference',
  USER_FUNCTION_FAILED: 'mend the function, or choose onError: skip or a side output for its operator',
  USER_FUNCTION_STUCK: 'a function must return soon; look for an endless loop or a blocking call',
  SLOT_EXITED: 'look for process.exit or running out of memory in the job; the last checkpoint is kept',
  MEMORY_EXCEEDED: 'keep fewer Buffers and typed arrays in functions, or raise --memory-limit of the task manager',
  STATE_DIRECTORY_IN_USE: 'wait for the other run or stop it, or name another --state-dir',
  STATE_DIRECTORY_FOREIGN: 'give each job a state directory of its own',
  STATE_DIRECTORY_VERSION: 'run it with the version that wrote it or a later one',
  CHECKPOINT_UNREADABLE:
    'the newest checkpoint must be readable, because results may rest on it: restore its files from a backup, or start again with --fresh',
  CHECKPOINT_FAILED: 'look at the cause above; the job can go on from the checkpoint before',
  SAVEPOINT_NOT_FOUND: 'name the path that millrace savepoint or stop --savepoint printed',
  SAVEPOINT_UNREADABLE: 'restore the file from a backup, or use another savepoint',
  SAVEPOINT_REFUSED: 'start from a savepoint of this job, or submit it without --from',
  SAVEPOINT_IN_USE: 'end the job that rests on it, or let it run until its state has been rewritten',
  STORAGE_FAILED: 'check that the disk works and the directory is writable, then run the same command again',
  STORAGE_FULL: 'make room on the disk, then run the same command again; the last checkpoint is kept',
  OUTPUT_OCCUPIED: 'run with --fresh to remove the results of the earlier run, or change the destination',
  PORT_IN_USE: 'stop what listens there, or choose another port',
  TRANSPORT_FAILED: 'run the same command again; the last checkpoint is kept',
  PROTOCOL: 'make sure that all processes run the same version of millrace',
  STALE_EPOCH: 'this process was replaced by another; look at that one',
  NOT_LEADER: 'no job manager leads: look at etcd and at the logs of the job managers',
  CLUSTER_UNAVAILABLE: 'check the addresses of the job managers and that they run',
  UNAUTHENTICATED: 'give a valid token or certificate; an administrator makes them',
  FORBIDDEN: 'use a token of a role that may do this',
  CONFIG_INVALID: 'mend the option named; --help lists all with unit and default',
  JOB_NOT_FOUND: 'millrace list shows the jobs of the cluster',
  JOB_EXISTS: 'cancel or stop the running job first, or submit under another name',
  CANCELED: 'run the same command again to go on from the last checkpoint',
  NOT_SUPPORTED: 'see the documentation for what this version can do',
  INTERNAL: 'this is a bug of millrace: please report it with the text above',
};

/** One line that tells what to do. */
export function remedyOf(code: ErrorCode): string {
  return remedies[code];
}
