/**
 * `millrace plan`: what a job file would run as, without running it.
 */
import type { JobOptions } from '../../core/graph/job-graph.ts';
import { prepareJob } from '../job/prepare-job.ts';
import type { Terminal } from '../output/terminal.ts';

export interface PlanCommandOptions {
  readonly jobFile: string;
  readonly jobArguments: Readonly<Record<string, string>>;
  readonly externals: readonly string[];
  readonly parallelism: number | undefined;
  readonly json: boolean;
}

/** Prints the job graph as text, or as one JSON line. @throws EngineError what is wrong with the job */
export async function planCommand(
  options: PlanCommandOptions,
  terminal: Terminal,
  environment: Readonly<Record<string, string | undefined>>,
): Promise<void> {
  const overrides: Partial<JobOptions> = {};
  const job = await prepareJob({ ...options, arguments: options.jobArguments, environment, options: overrides });
  for (const warning of job.warnings) terminal.note(`warning: ${warning}`);
  if (options.json) {
    terminal.line(JSON.stringify({ ok: true, graphHash: job.graphHash, graph: job.graph, warnings: job.warnings }));
    return;
  }
  const { renderPlan } = await import('../../client/plan/render-plan.ts');
  terminal.line(`${renderPlan(job.graph).trimEnd()}\n\ngraph hash ${job.graphHash}`);
}
