/**
 * The wire format: well-formed, compatible with the last release, every rpc with a role. `proto/millrace.binpb` is the format
 * of that release, made by `buf build proto --exclude-source-info -o proto/millrace.binpb` when a release is cut, and at no
 * other time: a change that this test refuses would break clusters while they are upgraded.
 */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, expect, test } from 'vitest';
import { methodPaths, roleOfMethod } from '../proto/rpc/grpc/authorization.ts';
import { clientMethods, putObjectPath, tailLogsPath } from '../proto/rpc/client-methods.ts';
import { jobManagerMethods, taskManagerMethods } from '../proto/rpc/methods.ts';
import { methodRoles } from './generate-proto.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const image = join(root, 'proto/millrace.binpb');

const copies: string[] = [];
afterEach(() => {
  for (const copy of copies.splice(0)) rmSync(copy, { recursive: true, force: true });
});

/** A copy of the .proto files with one change. */
function changed(file: string, from: string, to: string): string {
  const directory = mkdtempSync(join(tmpdir(), 'millrace-proto-'));
  copies.push(directory);
  for (const name of ['buf.yaml', 'millrace.proto', 'client.proto', 'roles.proto']) {
    cpSync(join(root, 'proto', name), join(directory, name));
  }
  const text = readFileSync(join(directory, file), 'utf8');
  expect(text).toContain(from);
  writeFileSync(join(directory, file), text.replace(from, to));
  return directory;
}

function buf(...args: string[]): { readonly status: number | null; readonly text: string } {
  const result = spawnSync(join(root, 'node_modules/.bin/buf'), args, { cwd: root, encoding: 'utf8' });
  return { status: result.status, text: result.stdout + result.stderr };
}

test('the .proto files keep the rules of buf', () => {
  expect(buf('lint', 'proto')).toEqual({ status: 0, text: '' });
});

test('the wire format can be spoken with the last release', () => {
  expect(buf('breaking', 'proto', '--against', image)).toEqual({ status: 0, text: '' });
});

test.each([
  ['a field that changes its type', '  uint32 slot_count = 2;', '  string slot_count = 2;'],
  ['a field that is gone', '  uint32 slot_count = 2;\n', ''],
  ['a number that is used again', '  string data_host = 5;', '  uint32 data_host = 5;'],
  [
    'an rpc that is gone',
    '  rpc MergeFiles(MergeFilesRequest) returns (Acknowledgement) {\n    option (role) = ROLE_JOB_MANAGER;\n  }\n',
    '',
  ],
])('the wire format is refused with %s', (_name, from, to) => {
  const { status, text } = buf('breaking', changed('millrace.proto', from, to), '--against', image);
  expect(status, text).not.toBe(0);
});

test('a field more is no break', () => {
  const more = changed('millrace.proto', '  string data_host = 5;', '  string data_host = 5;\n  string zone = 900;');
  expect(buf('breaking', more, '--against', image)).toEqual({ status: 0, text: '' });
});

test('every rpc of every service declares a role, and is in the table of methods', () => {
  const tables = [taskManagerMethods, jobManagerMethods, clientMethods].flatMap((table) => Object.values(table));
  const paths = [...tables.map((method) => method.path), putObjectPath, tailLogsPath];
  expect([...paths].sort()).toEqual([...methodPaths].sort());
  for (const path of paths)
    expect(roleOfMethod(path)).toMatch(/^(job-manager|task-manager|viewer|operator|submitter)$/);
  expect(roleOfMethod('/millrace.v1.ClientService/constructor')).toBeNull();
  expect(roleOfMethod('toString')).toBeNull();
});

test('the generator refuses an rpc without a role, or with one that nobody has', () => {
  const service = (option: string): string =>
    `syntax = "proto3"; package p; message M {} service S { rpc Do(M) returns (M) { ${option} } }`;
  expect(methodRoles(service('option (role) = ROLE_VIEWER;'), 'p.proto')).toEqual([['/p.S/Do', 'viewer']]);
  expect(() => methodRoles(service(''), 'p.proto')).toThrowError(
    /p\.proto: every rpc declares .*\/p\.S\/Do \(no role\)/,
  );
  expect(() => methodRoles(service('option (role) = ROLE_GOD;'), 'p.proto')).toThrowError(/\(ROLE_GOD\)/);
  expect(() => methodRoles(service('option (role) = ROLE_UNSPECIFIED;'), 'p.proto')).toThrowError(/ROLE_UNSPECIFIED/);
});
