/**
 * `millrace plan`: what a job file would run as, without running it, and with `--from` what would become of the state of
 * an earlier run.
 */
import type { JobOptions } from '../../core/graph/job-graph.ts';
import { type PreparedJob, prepareJob } from '../job/prepare-job.ts';
import type { Terminal } from '../output/terminal.ts';

export interface PlanCommandOptions {
  readonly jobFile: string;
  readonly jobArguments: Readonly<Record<string, string>>;
  readonly externals: readonly string[];
  readonly parallelism: number | undefined;
  readonly json: boolean;
  readonly mermaid: boolean;
  /** State directory of an earlier run to compare with; null: none. */
  readonly from: string | null;
}

/** Bundles, loads and plans the job file. @throws EngineError what is wrong with it */
export function preparePlan(
  options: PlanCommandOptions,
  environment: Readonly<Record<string, string | undefined>>,
): Promise<PreparedJob> {
  const overrides: Partial<JobOptions> = {};
  return prepareJob({ ...options, arguments: options.jobArguments, environment, options: overrides });
}

/**
 * Prints the job graph as text, as a Mermaid flowchart or as one JSON line.
 * @returns false when the state named by `from` cannot be taken over
 * @throws EngineError what is wrong with the job, or with the state directory
 */
export async function planCommand(
  options: PlanCommandOptions,
  terminal: Terminal,
  environment: Readonly<Record<string, string | undefined>>,
): Promise<boolean> {
  const job = await preparePlan(options, environment);
  for (const warning of job.warnings) terminal.note(`warning: ${warning}`);
  const stateReport = options.from === null ? null : await import('./state-report.ts');
  const report = (await stateReport?.readStateReport(options.from ?? '', job.graph)) ?? null;
  if (options.json) {
    const { graphHash, graph, warnings } = job;
    terminal.line(
      JSON.stringify({ ok: true, graphHash, graph, warnings, ...(report === null ? {} : { state: report }) }),
    );
    return report?.restorable ?? true;
  }
  terminal.line(await graphText(job, options.mermaid));
  if (report !== null && stateReport !== null) terminal.line(`\n${stateReport.stateReportText(report)}`);
  return report?.restorable ?? true;
}

async function graphText({ graph, graphHash }: PreparedJob, mermaid: boolean): Promise<string> {
  if (mermaid) return (await import('../../client/plan/render-mermaid.ts')).renderMermaid(graph);
  const { renderPlan } = await import('../../client/plan/render-plan.ts');
  return `${renderPlan(graph).trimEnd()}\n\ngraph hash ${graphHash}`;
}
