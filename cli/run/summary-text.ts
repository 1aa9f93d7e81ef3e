/** What a run says of itself at the end, as text and as one JSON object. Pure. */
import type { EngineError } from '../../core/errors.ts';
import type { RunOutcome } from '../embedded/run-types.ts';
import { bytesText, countText, rateText, recordsText, spanText } from '../output/number-text.ts';

export interface RunSummary {
  readonly jobName: string;
  readonly outcome: RunOutcome;
  readonly elapsedMs: number;
  /** Where results are, as the sinks name it. */
  readonly destinations: readonly string[];
  /** As the user named it; null for a temporary one. */
  readonly stateDirectory: string | null;
}

/** Lines of text; the first says how the run ended. */
export function summaryText(summary: RunSummary): string {
  const { progress } = summary.outcome;
  const before = progress.restored?.sourceRecords ?? 0;
  const restored =
    progress.restored === null
      ? ''
      : `, ${countText(before)} of them before checkpoint ${progress.restored.checkpointId}, which this run went on from`;
  const perSecond = (Math.max(0, progress.recordsIn - before) / Math.max(1, summary.elapsedMs)) * 1_000;
  const rows: [string, string][] = [
    ['in', `${recordsText(progress.recordsIn)}${restored} (${rateText(perSecond)}/s)`],
    ['out', recordsText(progress.recordsOut)],
    ['late', recordsText(progress.lateRecords)],
    ...Object.entries(progress.counters).map(([name, value]): [string, string] => [name, countText(value)]),
  ];
  if (progress.restarts > 0) rows.push(['restarts', countText(progress.restarts)]);
  if (progress.lastCheckpoint !== null) {
    rows.push(['checkpoint', `${progress.lastCheckpoint.id} (${bytesText(progress.lastCheckpoint.bytes)})`]);
  }
  if (summary.destinations.length > 0) rows.push(['results', summary.destinations.join(', ')]);
  if (summary.stateDirectory !== null) rows.push(['state', summary.stateDirectory]);
  const width = Math.max(...rows.map(([name]) => name.length));
  return [
    headline(summary),
    ...rows.map(([name, text]) => `  ${name.padEnd(width)}  ${text}`),
    ...nextStep(summary),
  ].join('\n');
}

function headline({ jobName, outcome, elapsedMs }: RunSummary): string {
  return `${jobName} ${outcome.state} after ${spanText(elapsedMs)}`;
}

function nextStep({ outcome, stateDirectory }: RunSummary): readonly string[] {
  if (outcome.state === 'stopped') {
    return stateDirectory === null
      ? ['nothing is kept to go on from, because no --state-dir was named']
      : ['run the same command again to go on from here'];
  }
  if (outcome.state === 'failed' && stateDirectory !== null && outcome.progress.lastCheckpoint !== null) {
    return [`run the same command again to go on from checkpoint ${outcome.progress.lastCheckpoint.id}`];
  }
  return [];
}

/** The object of `--json`. Times in ms; a watermark that is not a time is null. */
export function summaryJson(summary: RunSummary, results: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const { outcome } = summary;
  const { watermarkMs, timeHeldBy: _, ...progress } = outcome.progress;
  return {
    ok: outcome.state === 'finished' || outcome.state === 'stopped',
    job: summary.jobName,
    elapsedMs: Math.round(summary.elapsedMs),
    ...progress,
    state: outcome.state,
    watermarkMs: Number.isFinite(watermarkMs) ? watermarkMs : null,
    destinations: summary.destinations,
    stateDirectory: summary.stateDirectory,
    results,
    error: outcome.error === null ? null : errorJson(outcome.error),
  };
}

/** An error as plain data for `--json`. */
export function errorJson(error: EngineError): Record<string, unknown> {
  return { code: error.code, domain: error.domain, message: error.message, ids: error.ids };
}
