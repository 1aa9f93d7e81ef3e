/**
 * The newest lines of a cluster, kept for those who ask for them and handed to those who follow. Bounded on both sides: old
 * lines make room for new ones, and a follower that reads too slowly loses lines and is told how many, so that nobody who
 * looks at a log can fill the memory of what is logged.
 */
import type { LogFields, LogRecord } from '../../core/log-record.ts';
import type { LogLine } from '../../proto/client-messages.ts';

/** Lines kept of all processes together. */
export const logLinesMax = 5_000;
/** Longest text of a line, in characters; the rest is cut off. */
export const logTextMax = 8_192;
/** Lines that wait for one follower. */
export const followerLinesMax = 1_000;

/** A record as clients get it. @param taskManagerId null: of the job manager */
export function toLogLine({ timeMs, level, job, text, ...about }: LogRecord, taskManagerId: string | null): LogLine {
  return { timeMs, level, taskManagerId, jobId: job ?? null, text: `${aboutText(about)}${text}` };
}

/** The fields that a log line of the protocol has no place for. */
function aboutText({ operator, subtask, attempt, traceId }: LogFields): string {
  const of = subtask === undefined ? '' : `#${subtask}`;
  const parts = [
    operator === undefined ? null : `${operator}${of}`,
    attempt === undefined ? null : `attempt ${attempt}`,
    traceId ?? null,
  ].filter((part) => part !== null);
  return parts.length === 0 ? '' : `[${parts.join(', ')}] `;
}

export interface LogQuery {
  /** Id of a job; null: of all, and what is of none. */
  readonly job: string | null;
  /** Null: of all processes. */
  readonly taskManagerId: string | null;
  /** How many of those logged before. */
  readonly lines: number;
  /** And those logged from now on. */
  readonly follow: boolean;
  /** Ends the following. */
  readonly signal?: AbortSignal;
}

export class LogBuffer {
  readonly #linesMax: number;
  readonly #ring: LogLine[] = [];
  /** Where the next line goes once the ring is full: the place of the oldest. */
  #next = 0;
  readonly #followers = new Set<Follower>();

  /** @param linesMax how many lines are kept */
  constructor(linesMax: number = logLinesMax) {
    this.#linesMax = linesMax;
  }

  add(line: LogLine): void {
    const kept = line.text.length > logTextMax ? { ...line, text: `${line.text.slice(0, logTextMax)}…` } : line;
    if (this.#ring.length < this.#linesMax) this.#ring.push(kept);
    else this.#ring[this.#next] = kept;
    this.#next = (this.#next + 1) % this.#linesMax;
    for (const follower of this.#followers) follower.take(kept);
  }

  /** Followers there are now. */
  get followerCount(): number {
    return this.#followers.size;
  }

  /**
   * Lines of before, oldest first, then those to come. What is logged between this call and the first read is not missed.
   */
  tail(query: LogQuery): AsyncIterable<LogLine> {
    const before = this.#before(query);
    if (!query.follow) return listed(before);
    const follower = new Follower(query, (ended) => this.#followers.delete(ended));
    if (query.signal?.aborted !== true) this.#followers.add(follower);
    return following(before, follower);
  }

  #before(query: LogQuery): readonly LogLine[] {
    const found: LogLine[] = [];
    const { length } = this.#ring;
    // From the newest back, so that a short tail of a long log is cheap.
    for (let back = 1; back <= length && found.length < query.lines; back++) {
      const line = this.#ring[(this.#next - back + 2 * this.#linesMax) % this.#linesMax];
      if (line !== undefined && wanted(line, query)) found.push(line);
    }
    return found.reverse();
  }
}

function wanted(line: LogLine, { job, taskManagerId }: LogQuery): boolean {
  return (job === null || line.jobId === job) && (taskManagerId === null || line.taskManagerId === taskManagerId);
}

async function* listed(lines: readonly LogLine[]): AsyncGenerator<LogLine> {
  yield* lines;
}

async function* following(before: readonly LogLine[], follower: Follower): AsyncGenerator<LogLine> {
  try {
    yield* before;
    for (let line = await follower.next(); line !== null; line = await follower.next()) yield line;
  } finally {
    follower.end();
  }
}

/** Somebody who reads lines as they come. */
class Follower {
  readonly #query: LogQuery;
  readonly #waiting: LogLine[] = [];
  readonly #onEnd: (follower: Follower) => void;
  #dropped = 0;
  #wake: (() => void) | null = null;
  #ended = false;
  readonly #onAbort = (): void => this.end();

  /** @param onEnd it takes no more lines, also when nobody ever read one */
  constructor(query: LogQuery, onEnd: (follower: Follower) => void) {
    this.#query = query;
    this.#onEnd = onEnd;
    if (query.signal?.aborted === true) this.#ended = true;
    query.signal?.addEventListener('abort', this.#onAbort, { once: true });
  }

  take(line: LogLine): void {
    if (this.#ended || !wanted(line, this.#query)) return;
    if (this.#waiting.length >= followerLinesMax) this.#dropped++;
    else this.#waiting.push(line);
    this.#wake?.();
  }

  /** Null when it is over. */
  async next(): Promise<LogLine | null> {
    for (;;) {
      const line = this.#waiting.shift();
      if (line !== undefined) return line;
      if (this.#ended) return null;
      if (this.#dropped > 0) return this.#gap();
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      this.#wake = null;
    }
  }

  end(): void {
    this.#ended = true;
    this.#onEnd(this);
    this.#query.signal?.removeEventListener('abort', this.#onAbort);
    this.#wake?.();
  }

  #gap(): LogLine {
    const text = `${this.#dropped} lines are missing here: they were read more slowly than they were logged`;
    this.#dropped = 0;
    return { timeMs: Date.now(), level: 'warn', taskManagerId: null, jobId: this.#query.job, text };
  }
}
