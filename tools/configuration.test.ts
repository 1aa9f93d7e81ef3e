/** The page of options is the list of options. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { configTable } from '../core/config/config-text.ts';

test('docs/operations/configuration.md has every option as it is (mended by tools/configuration-page.mjs)', () => {
  const page = readFileSync(new URL('../docs/operations/configuration.md', import.meta.url), 'utf8');
  expect(page.slice(page.indexOf('| Key in'))).toBe(configTable());
});
