/** The routes of a job manager. Read only, versioned by the path: fields are added within a version, never taken away. */
import type { WireError } from '../../core/errors.ts';
import { jsonAnswer, type Route, type RouteAnswer } from '../../operations/http/http-types.ts';
import { processRoutes, type ProcessRoutesOptions } from '../../operations/http/process-routes.ts';
import type { JobStatus } from '../../proto/client-messages.ts';
import type { ClusterView } from './cluster-view.ts';

export interface RestOptions extends ProcessRoutesOptions {
  /** What the leader sees. @throws EngineError NOT_LEADER with the address of the leader, when this process does not lead */
  readonly view: () => ClusterView;
}

export const apiPrefix = '/api/v1';

/** All routes of a job manager. */
export function restRoutes(options: RestOptions): readonly Route[] {
  return [...processRoutes(options), ...clusterRoutes(options.view), ...jobRoutes(options.view)];
}

type Read = (view: ClusterView, parameters: Readonly<Record<string, string>>) => Promise<unknown>;

function reading(view: () => ClusterView, path: string, answer: string, summary: string, read: Read): Route {
  const handle = async ({ parameters }: { parameters: Readonly<Record<string, string>> }): Promise<RouteAnswer> =>
    jsonAnswer(await read(view(), parameters));
  return { path: `${apiPrefix}${path}`, role: 'viewer', summary, answer, handle };
}

function clusterRoutes(view: () => ClusterView): readonly Route[] {
  return [
    reading(view, '/overview', 'ClusterOverview', 'The cluster in numbers.', (cluster) => cluster.overview()),
    reading(view, '/task-managers', 'TaskManagers', 'Task managers that are registered.', (cluster) =>
      cluster.taskManagers(),
    ),
    reading(view, '/jobs', 'Jobs', 'All jobs, newest first, without their vertices.', async (cluster) =>
      (await cluster.jobs()).map(publicJob),
    ),
  ];
}

function jobRoutes(view: () => ClusterView): readonly Route[] {
  const job = (parameters: Readonly<Record<string, string>>): string => parameters['job'] ?? '';
  return [
    reading(view, '/jobs/:job', 'Job', 'One job, by id or name.', async (cluster, parameters) =>
      publicJob(await cluster.job(job(parameters))),
    ),
    reading(view, '/jobs/:job/vertices', 'Vertices', 'The vertices of a job.', (cluster, parameters) =>
      cluster.vertices(job(parameters)),
    ),
    reading(
      view,
      '/jobs/:job/vertices/:vertex/subtasks',
      'Subtasks',
      'The subtasks of a vertex.',
      (cluster, parameters) => cluster.subtasks(job(parameters), parameters['vertex'] ?? ''),
    ),
    reading(
      view,
      '/jobs/:job/checkpoints',
      'Checkpoints',
      'The last checkpoints of a job.',
      async (cluster, parameters) => {
        const { completedCheckpoints, failedCheckpoints, checkpoints } = await cluster.history(job(parameters));
        return { completed: completedCheckpoints, failed: failedCheckpoints, newest: checkpoints };
      },
    ),
    reading(view, '/jobs/:job/exceptions', 'Exceptions', 'The last failures of a job.', async (cluster, parameters) => {
      const { restarts, exceptions } = await cluster.history(job(parameters));
      return { restarts, newest: exceptions.map((entry) => ({ ...entry, error: publicError(entry.error) })) };
    }),
  ];
}

function publicJob(status: JobStatus): Record<string, unknown> {
  return { ...status, error: status.error === null ? null : publicError(status.error) };
}

/** Without stacks: they name paths of machines. They are in the log. */
function publicError({ code, domain, retry, message, ids }: WireError): Omit<WireError, 'stack' | 'cause'> {
  return { code, domain, retry, message, ids };
}
