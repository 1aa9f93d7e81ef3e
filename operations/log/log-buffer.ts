/**
 * The newest lines of a cluster, kept for those who ask for them and handed to those who follow. Bounded on both sides: each
 * process has a ring of its own, so that one that logs much does not push out the lines of the others, and a follower that
 * reads too slowly loses lines and is told how many. Nobody who looks at a log can fill the memory of what is logged.
 */
import type { LogFields, LogRecord } from '../../core/log-record.ts';
import type { LogLine } from '../../proto/client-messages.ts';
import type { LogReport } from '../../proto/messages.ts';
import { LogRing, ringLinesMax } from './log-ring.ts';

/** Characters kept of all processes together. */
export const logCharactersMax = 32 * 1024 * 1024;
/** Processes of which lines are kept; the one that was silent for longest makes room. */
export const logSourcesMax = 256;
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

/** How much is kept. */
export interface LogBounds {
  /** Of one process. */
  readonly lines: number;
  /** Of all processes together. */
  readonly characters: number;
  readonly sources: number;
}

interface Source {
  readonly ring: LogRing;
  /** Number, within its process, of the line that was told last; 0 before the first. */
  told: number;
}

export class LogBuffer {
  readonly #bounds: LogBounds;
  /** By id of the task manager; null: this process. The one that was silent for longest comes first. */
  readonly #sources = new Map<string | null, Source>();
  #characters = 0;
  readonly #followers = new Set<Follower>();

  constructor(bounds: Partial<LogBounds> = {}) {
    this.#bounds = { lines: ringLinesMax, characters: logCharactersMax, sources: logSourcesMax, ...bounds };
  }

  add(line: LogLine): void {
    const { ring } = this.#source(line.taskManagerId);
    const before = ring.characters;
    const kept = ring.add(line);
    this.#characters += ring.characters - before;
    while (this.#characters > this.#bounds.characters) this.#trimLargest();
    for (const follower of this.#followers) follower.take(kept);
  }

  /** What a task manager has told of its lines; those that were told before are left out. */
  addReport({ taskManagerId, firstNumber, lines }: LogReport): void {
    const source = this.#source(taskManagerId);
    const gap = firstNumber - source.told - 1;
    const first = lines[0];
    if (source.told > 0 && gap > 0 && first !== undefined) {
      const text = `${gap} lines are missing here: more was logged than is sent`;
      this.add({ timeMs: first.timeMs, level: 'warn', taskManagerId, jobId: null, text });
    }
    for (const line of lines.slice(Math.max(0, source.told + 1 - firstNumber))) this.add({ ...line, taskManagerId });
    source.told = Math.max(source.told, firstNumber + lines.length - 1);
  }

  /** Lines of this process from a number on, counted from 1, as far as they are kept. */
  own(fromNumber: number, charactersMax: number): { readonly firstNumber: number; readonly lines: readonly LogLine[] } {
    return this.#source(null).ring.from(fromNumber, charactersMax);
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

  /** In the order of their clocks. */
  #before(query: LogQuery): readonly LogLine[] {
    const found: LogLine[] = [];
    for (const { ring } of this.#sources.values())
      found.push(...[...ring.backwards((line) => wanted(line, query), query.lines)].reverse());
    found.sort((first, second) => first.timeMs - second.timeMs);
    return query.lines === 0 ? [] : found.slice(-query.lines);
  }

  #source(id: string | null): Source {
    const source = this.#sources.get(id) ?? { ring: new LogRing(this.#bounds.lines), told: 0 };
    // The order of the map is the order of being heard of.
    this.#sources.delete(id);
    this.#sources.set(id, source);
    for (const [oldest, { ring }] of this.#sources) {
      if (this.#sources.size <= this.#bounds.sources) break;
      if (oldest === null) continue;
      this.#characters -= ring.characters;
      this.#sources.delete(oldest);
    }
    return source;
  }

  #trimLargest(): void {
    const rings = [...this.#sources.values()].map(({ ring }) => ring);
    const largest = rings.reduce((one, other) => (other.characters > one.characters ? other : one));
    const before = largest.characters;
    largest.dropOldest();
    this.#characters += largest.characters - before;
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
