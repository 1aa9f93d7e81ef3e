import { get } from 'node:https';
import { afterEach, beforeAll, expect, test } from 'vitest';
import { fixedTlsMaterial, type TlsMaterial } from '../../core/tls-material.ts';
import type { Caller } from '../../proto/rpc/grpc/authorization.ts';
import { type Authority, makeAuthority } from '../../proto/rpc/grpc/certificates.test-support.ts';
import { HttpServer } from './http-server.ts';
import { jsonAnswer, type Route } from './http-types.ts';

let authority: Authority;
let stranger: Authority;
beforeAll(async () => {
  authority = await makeAuthority('millrace');
  stranger = await makeAuthority('other');
});

let server: HttpServer | null = null;
afterEach(async () => {
  await server?.stop();
  server = null;
});

const failing = (): never => {
  throw new Error('secret of the inside');
};
const routes: readonly Route[] = [
  { path: '/good', role: 'viewer', summary: '', answer: null, handle: () => jsonAnswer({ good: true }) },
  { path: '/bad', role: 'public', summary: '', answer: null, handle: failing },
];

/** A server with a certificate, that notes who calls. */
async function serve(callers: Caller[], warnings: string[] = []): Promise<HttpServer> {
  server = await HttpServer.start({
    host: '127.0.0.1',
    port: 0,
    routes,
    tls: fixedTlsMaterial(await authority.issue('job-manager')),
    authorize: (_role, caller) => void callers.push(caller),
    logger: { warn: (message) => void warnings.push(message) },
  });
  return server;
}

interface Told {
  readonly status: number | undefined;
  readonly text: string;
  readonly secure: string | undefined;
}

function ask({ port }: HttpServer, path: string, own: Partial<TlsMaterial>, token?: string): Promise<Told> {
  const { ca, cert, key } = own;
  const pem = {
    ...(ca === undefined ? {} : { ca: Buffer.from(ca) }),
    ...(cert === undefined ? {} : { cert: Buffer.from(cert) }),
    ...(key === undefined ? {} : { key: Buffer.from(key) }),
  };
  const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
  return new Promise((resolve, reject) => {
    get({ host: 'localhost', port, path, headers, agent: false, ...pem }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (part: string) => {
        text += part;
      });
      const secure = response.headers['strict-transport-security'];
      response.on('end', () => resolve({ status: response.statusCode, text, secure }));
    }).on('error', reject);
  });
}

test('a caller has the roles of its certificate, and its token, when it comes with TLS', async () => {
  const callers: Caller[] = [];
  const listening = await serve(callers);
  const own = await authority.issue('viewer', 'operator');
  const { status, secure } = await ask(listening, '/good', own, 'abc');
  expect([status, secure]).toEqual([200, 'max-age=31536000']);
  expect(callers).toEqual([
    {
      certificateNames: ['viewer', 'operator'].map((role) => ({ cluster: expect.any(String), role })),
      bearerToken: 'abc',
    },
  ]);
});

test('a certificate of another authority gives no role', async () => {
  const callers: Caller[] = [];
  const listening = await serve(callers);
  const { ca } = await authority.issue();
  const foreign = await stranger.issue('admin');
  await ask(listening, '/good', { ...foreign, ca });
  await ask(listening, '/good', { ca });
  const nobody = { certificateNames: [], bearerToken: null };
  expect(callers).toEqual([nobody, nobody]);
});

test('what fails inside is told in the log and not to the caller', async () => {
  const warnings: string[] = [];
  const listening = await serve([], warnings);
  const { status, text } = await ask(listening, '/bad', await authority.issue());
  expect(status).toBe(500);
  expect(JSON.parse(text)).toMatchObject({ error: { code: 'INTERNAL' } });
  expect(text).not.toContain('secret');
  expect(warnings.join()).toContain('secret of the inside');
});
