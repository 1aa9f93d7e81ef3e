/** A line of the log of a process, before it is written anywhere: what it says, and what it is about. */

/** In the order in which they matter. */
export const logSeverities = ['debug', 'info', 'warn', 'error'] as const;
/** How much a line matters. */
export type LogSeverity = (typeof logSeverities)[number];

/** What a line is about; whoever writes it says as much as it knows. */
export interface LogFields {
  readonly job?: string;
  readonly operator?: string;
  readonly subtask?: number;
  readonly attempt?: number;
  /** Connects the lines of one piece of work across processes: a submission, a checkpoint, a request. */
  readonly traceId?: string;
}

/** One line. */
export interface LogRecord extends LogFields {
  readonly timeMs: number;
  readonly level: LogSeverity;
  /** Which process: `job-manager host:port`, or the id of a task manager. */
  readonly process: string;
  readonly text: string;
}
