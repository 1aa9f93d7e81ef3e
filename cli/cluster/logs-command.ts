/**
 * `millrace logs`: lines of the job manager that leads and of the task managers. Who follows goes on at the next leader when
 * another one takes over: task managers tell it again what they keep, so nothing is missed and what was shown is left out.
 */
import type { ClusterClient } from '../../client/submission/cluster-client.ts';
import { type ErrorCode, isEngineError } from '../../core/errors.ts';
import { printableText } from '../../operations/log/printable-text.ts';
import type { LogLine } from '../../proto/client-messages.ts';
import type { Terminal } from '../output/terminal.ts';
import { type ClientOptions, withClient } from './client-commands.ts';

export interface LogsCommandOptions extends ClientOptions {
  /** Null: all. */
  readonly job: string | null;
  readonly taskManagerId: string | null;
  readonly lines: number;
  readonly follow: boolean;
}

/** Lines that are asked for again at another leader. */
const linesAgain = 1_000;
/** Lines that are remembered as shown, at least. */
const linesKept = 4_000;
const againPauseMs = 500;
/** Nobody answers, or somebody else is going to. Who follows has been answered before, when the client connected. */
const cutCodes: readonly ErrorCode[] = ['NOT_LEADER', 'TRANSPORT_FAILED', 'CLUSTER_UNAVAILABLE'];

/** @param signal ends the following */
export function logsCommand(options: LogsCommandOptions, terminal: Terminal, signal: AbortSignal): Promise<void> {
  return withClient(options, (client) => showLogs(client, options, terminal, signal));
}

/** @throws EngineError JOB_NOT_FOUND, and whatever asking the cluster says */
export async function showLogs(
  client: Pick<ClusterClient, 'logs'>,
  { job, taskManagerId, lines, follow, json }: Omit<LogsCommandOptions, 'command'>,
  terminal: Terminal,
  signal: AbortSignal,
  pauseMs = againPauseMs,
): Promise<void> {
  const shown = new ShownLines();
  let told = false;
  for (let asked = lines; ; asked = Math.max(lines, linesAgain)) {
    try {
      for await (const line of client.logs({ job, taskManagerId, lines: asked, follow, signal })) {
        told = false;
        if (shown.add(line)) terminal.line(json ? JSON.stringify(line) : lineText(line));
      }
      return;
    } catch (error) {
      if (signal.aborted) return;
      if (!follow || !isEngineError(error) || !cutCodes.includes(error.code)) throw error;
      if (!told) terminal.note(`the log was cut off, and goes on when a job manager answers: ${error.message}`);
      told = true;
    }
    shown.again();
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
}

/** The lines that were shown last, each as often as it was: one text may well be logged twice in a millisecond. */
class ShownLines {
  readonly #newest: string[] = [];
  /** Those of before the cut that have not come again. */
  #expected = new Map<string, number>();

  /** The log is read again from some line on: what was shown is going to come once more. */
  again(): void {
    this.#expected = new Map();
    for (const key of this.#newest) this.#expected.set(key, (this.#expected.get(key) ?? 0) + 1);
  }

  /** False when it was shown before the cut. */
  add({ timeMs, level, taskManagerId, jobId, text }: LogLine): boolean {
    const key = JSON.stringify([timeMs, level, taskManagerId, jobId, text]);
    const times = this.#expected.get(key) ?? 0;
    if (times > 0) {
      this.#expected.set(key, times - 1);
      return false;
    }
    this.#newest.push(key);
    if (this.#newest.length > 2 * linesKept) this.#newest.splice(0, linesKept);
    return true;
  }
}

function lineText({ timeMs, level, taskManagerId, jobId, text }: LogLine): string {
  const who = taskManagerId === null ? 'job manager' : `task manager ${taskManagerId}`;
  const job = jobId === null ? '' : ` [${jobId}]`;
  return `${new Date(timeMs).toISOString()} ${level} ${who}${job} ${printableText(text)}`;
}
