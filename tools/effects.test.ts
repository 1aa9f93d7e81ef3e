/** The lint rules refuse clock, chance, timers and console outside the shells, and accept them there. */
import { ESLint } from 'eslint';
import { expect, test } from 'vitest';

const root = new URL('..', import.meta.url).pathname;

/** Rules reported for a text as if it were that file; rules that need types are left out, the file does not exist. */
async function rulesAgainst(path: string, text: string): Promise<readonly (string | null)[]> {
  const withoutTypes = {
    files: ['**/*.ts'],
    languageOptions: { parserOptions: { project: null } },
    rules: Object.fromEntries(
      [
        'no-floating-promises',
        'no-misused-promises',
        'await-thenable',
        'switch-exhaustiveness-check',
        'only-throw-error',
      ].map((name) => [`@typescript-eslint/${name}`, 'off'] as const),
    ),
  };
  const eslint = new ESLint({ cwd: root, overrideConfig: [withoutTypes] });
  const [result] = await eslint.lintText(text, { filePath: path });
  return (result?.messages ?? []).map((message) => message.ruleId ?? message.message);
}

const effects = [
  ['export const now = Date.now();', 'no-restricted-properties'],
  ['export const date = new Date();', 'no-restricted-syntax'],
  ['export const chance = Math.random();', 'no-restricted-properties'],
  ["import { randomUUID } from 'node:crypto';\nexport const id = randomUUID();", 'no-restricted-syntax'],
  ['setTimeout(() => undefined, 1);', 'no-restricted-globals'],
  ["import { setTimeout as wait } from 'node:timers/promises';\nexport { wait };", 'no-restricted-imports'],
  ["console.log('x');", 'no-restricted-globals'],
  ['export const begun = performance.now();', 'no-restricted-globals'],
] as const;

test.each(effects)('a model is refused when it has %j', async (text, rule) => {
  expect(await rulesAgainst('jobmanager/model/planted.ts', text)).toEqual([rule]);
});

test('a shell is accepted with all of them', async () => {
  for (const [text] of effects) expect(await rulesAgainst('taskmanager/planted.ts', text)).toEqual([]);
});

test('a model is accepted with a date made of a number', async () => {
  expect(await rulesAgainst('jobmanager/model/planted.ts', 'export const day = new Date(0);')).toEqual([]);
});
