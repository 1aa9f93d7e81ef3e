import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { errorCodes } from '../core/errors.ts';

test('docs/errors.md explains exactly the codes there are, each with a meaning and a remedy', () => {
  const text = readFileSync(new URL('../docs/errors.md', import.meta.url), 'utf8');
  const sections = text.split(/^### /m).slice(1);
  expect(sections.map((section) => section.slice(0, section.indexOf('\n')).trim()).sort()).toEqual(
    [...errorCodes].sort(),
  );
  for (const section of sections) {
    const [title = '', ...body] = section.split('\n');
    expect(body.join('\n'), title).toMatch(/\S[\s\S]*\*\*What to do:\*\* \S/);
  }
});
