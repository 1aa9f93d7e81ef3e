import { spawnSync } from 'node:child_process';
import { expect, test } from 'vitest';

test('the generated wire code is current with millrace.proto', () => {
  const result = spawnSync(process.execPath, ['tools/generate-proto.mjs', '--check'], { encoding: 'utf8' });
  expect(result.stderr).toBe('');
  expect(result.status).toBe(0);
});
