/** The OpenAPI description of routes, made from what they declare. */
import type { Route } from '../../operations/http/http-types.ts';
import { restSchemas } from './rest-schemas.ts';

const errors: Readonly<Record<string, string>> = {
  '401': 'Nobody the cluster knows.',
  '403': 'Known, but not for this; or called by a name it does not have.',
  '404': 'There is no such job, vertex or path.',
  '503': 'This process does not lead; ids.leaderAddress says who does, where that is known.',
};

/** @param routes of a job manager */
export function openApi(routes: readonly Route[], version: string): Record<string, unknown> {
  return {
    openapi: '3.1.0',
    info: { title: 'Millrace job manager', version, description: 'Read only. Fields may be added within a version.' },
    security: [{ token: [] }, { certificate: [] }],
    paths: Object.fromEntries(routes.map((route) => [pathOf(route), { get: operationOf(route) }])),
    components: {
      securitySchemes: {
        token: { type: 'http', scheme: 'bearer' },
        certificate: { type: 'mutualTLS' },
      },
      schemas: restSchemas,
    },
  };
}

function pathOf({ path }: Route): string {
  return path.replaceAll(/:(\w+)/g, '{$1}');
}

function operationOf(route: Route): Record<string, unknown> {
  const parameters = [...route.path.matchAll(/:(\w+)/g)].map(([, name]) => {
    return { name, in: 'path', required: true, schema: { type: 'string', maxLength: 256 } };
  });
  return {
    summary: route.summary,
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(route.role === 'public' ? { security: [] } : {}),
    'x-role': route.role,
    responses: { '200': answerOf(route), ...errorsOf(route) },
  };
}

function answerOf({ answer }: Route): Record<string, unknown> {
  if (answer === null) return { description: 'Text.', content: { 'text/plain': { schema: { type: 'string' } } } };
  return { description: 'What was asked for.', content: { 'application/json': { schema: refTo(answer) } } };
}

function errorsOf({ role, path }: Route): Record<string, unknown> {
  if (path === '/ready')
    return { '503': { description: 'Not ready.', content: { 'application/json': { schema: refTo('Health') } } } };
  if (role === 'public') return {};
  const content = { 'application/json': { schema: refTo('Error') } };
  return Object.fromEntries(Object.entries(errors).map(([status, description]) => [status, { description, content }]));
}

function refTo(schema: string): Record<string, unknown> {
  return { $ref: `#/components/schemas/${schema}` };
}
