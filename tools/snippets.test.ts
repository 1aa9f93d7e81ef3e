/**
 * The guides are true. Every `ts` block is a whole file and compiles against the public entries; a block that follows
 * `<!-- from: path -->` is an excerpt and stands in that file word for word; one that follows `<!-- run -->` is also run, and so is
 * the connector that a guide builds.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { afterAll, expect, test } from 'vitest';
import { type Actions, buildProgram } from '../cli/program.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const guideDirectory = join(root, 'docs/guide');
const guides = readdirSync(guideDirectory).filter((name) => name.endsWith('.md'));
const temporary = mkdtempSync(join(tmpdir(), 'millrace-guide-'));
afterAll(() => rmSync(temporary, { recursive: true, force: true }));

interface Block {
  readonly guide: string;
  /** What the comment before the block says: `from` a file of the repository, the `file` it would be, or to be `run`. */
  readonly marker: 'from' | 'file' | 'run' | null;
  readonly path: string | null;
  readonly text: string;
}

const blockPattern = /(?:<!-- (from|file|run)(?:: (\S+))? -->\n)?```ts\n(.*?)```/gs;

function blocksOf(guide: string): readonly Block[] {
  const text = readFileSync(join(guideDirectory, guide), 'utf8');
  return [...text.matchAll(blockPattern)].map(([, marker, path, code]) => ({
    guide,
    marker: (marker ?? null) as Block['marker'],
    path: path ?? null,
    text: code as string,
  }));
}

const blocks = guides.flatMap(blocksOf);

/** Type errors of the public entries' sources with files that exist only in memory beside the guides. */
function problemsOf(files: ReadonlyMap<string, string>): readonly string[] {
  const { exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    exports: Record<string, string | { types: string }>;
  };
  const entries = Object.entries(exports).flatMap(([name, target]) =>
    typeof target === 'string'
      ? []
      : [[name.replace(/^\./, 'millrace'), [target.types.replace('./dist/', `${root}/`).replace(/\.d\.ts$/, '.ts')]]],
  );
  const options: ts.CompilerOptions = {
    target: ts.ScriptTarget.ES2023,
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    strict: true,
    noEmit: true,
    skipLibCheck: true,
    allowImportingTsExtensions: true,
    types: ['node'],
    typeRoots: [join(root, 'node_modules/@types')],
    paths: Object.fromEntries(entries) as Record<string, string[]>,
  };
  const disk = ts.createCompilerHost(options);
  const host: ts.CompilerHost = {
    ...disk,
    directoryExists: (name) => [...files.keys()].some((path) => dirname(path) === name) || ts.sys.directoryExists(name),
    fileExists: (name) => files.has(name) || disk.fileExists(name),
    readFile: (name) => files.get(name) ?? disk.readFile(name),
    getSourceFile: (name, language, ...rest) => {
      const text = files.get(name);
      return text === undefined
        ? disk.getSourceFile(name, language, ...rest)
        : ts.createSourceFile(name, text, language);
    },
  };
  return ts.getPreEmitDiagnostics(ts.createProgram([...files.keys()], options, host)).map((problem) => {
    const { file, start } = problem;
    const line = file === undefined || start === undefined ? '' : file.text.slice(start).split('\n')[0];
    return `${file?.fileName ?? ''}: ${ts.flattenDiagnosticMessageText(problem.messageText, '\n')} at ${line}`;
  });
}

test('every snippet of the guides compiles against the public entries', { timeout: 180_000 }, () => {
  const files = new Map(
    blocks
      .filter((block) => block.marker !== 'from')
      .map(
        ({ guide, path, text }, index) => [join(guideDirectory, `${guide}.d`, path ?? `${index}.ts`), text] as const,
      ),
  );
  expect(files.size).toBeGreaterThanOrEqual(12);
  // A wrong file shows that errors are seen at all.
  const wrong = join(guideDirectory, 'wrong.ts');
  files.set(wrong, 'export const length: string = 1;');
  expect(problemsOf(files)).toEqual([
    `${wrong}: Type 'number' is not assignable to type 'string'. at length: string = 1;`,
  ]);
});

test('every excerpt in the guides stands in the file it names', () => {
  const excerpts = blocks.filter((block) => block.marker === 'from');
  expect(excerpts.length).toBeGreaterThan(5);
  for (const { guide, path, text } of excerpts) {
    expect(readFileSync(join(root, path as string), 'utf8'), `${guide}: ${path}`).toContain(text.trim());
  }
});

test('every snippet that is marked to be run does what it asserts', { timeout: 120_000 }, () => {
  const runnable = blocks.filter((block) => block.marker === 'run');
  expect(runnable.length).toBeGreaterThan(4);
  runnable.forEach(({ guide, text }, index) => {
    // Inside the repository, where `millrace` is this package: snippets see what users get.
    const path = join(root, 'dist', `.snippet-${process.pid}-${index}.mjs`);
    writeFileSync(path, ts.transpileModule(text, { compilerOptions: { target: ts.ScriptTarget.ES2023 } }).outputText);
    try {
      execFileSync(process.execPath, [path], { cwd: temporary, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
    } catch (error) {
      expect.fail(`${guide}, snippet ${index}: ${String((error as { stderr?: string }).stderr ?? error)}`);
    } finally {
      rmSync(path, { force: true });
    }
  });
});

test('the connector of the guide delivers every line once', { timeout: 60_000 }, () => {
  for (const { marker, path, text } of blocksOf('writing-a-connector.md')) {
    if (marker === 'file') writeFileSync(join(temporary, path as string), text);
  }
  writeFileSync(join(temporary, 'a.txt'), 'one\ntwo\n');
  writeFileSync(join(temporary, 'b.txt'), 'three\n');
  const run = (...flags: readonly string[]): string =>
    execFileSync(process.execPath, [join(root, 'bin/millrace.js'), 'run', 'job.ts', ...flags], {
      cwd: temporary,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    });
  const results = (): readonly string[] =>
    readdirSync(join(temporary, 'out'))
      .filter((name) => !name.startsWith('.'))
      .flatMap((name) =>
        readFileSync(join(temporary, 'out', name), 'utf8')
          .trim()
          .split('\n'),
      )
      .map((line) => (JSON.parse(line) as { text: string }).text)
      .sort();
  run();
  expect(results()).toEqual(['ONE', 'THREE', 'TWO']);
  expect(() => run()).toThrow(/OUTPUT_OCCUPIED/);
  run('--fresh');
  expect(results()).toEqual(['ONE', 'THREE', 'TWO']);
});

test('README and the guide of operations name every option of millrace run', () => {
  const pages = ['README.md', 'docs/guide/operations-embedded.md'].map((page) =>
    readFileSync(join(root, page), 'utf8'),
  );
  const nothing = (): Promise<void> => Promise.resolve();
  // No action is called: the commands are only looked at.
  const never = new Proxy({}, { get: () => nothing }) as Actions;
  const command = buildProgram('0.0.0', never).commands.find((one) => one.name() === 'run');
  const options = (command?.options ?? []).filter((option) => !option.hidden).map((option) => option.long as string);
  expect(options.length).toBeGreaterThan(7);
  // The page is left out of the message: it would fill the screen.
  for (const option of options) for (const page of pages) expect(page.includes(`\`${option}`), option).toBe(true);
});

test('the guides link only to files that are there', () => {
  for (const guide of guides) {
    const text = readFileSync(join(guideDirectory, guide), 'utf8');
    for (const [, link] of text.matchAll(/\]\((?!http|#)([^)#]+)/g)) {
      expect(() => readFileSync(join(guideDirectory, link as string)), `${guide}: ${link}`).not.toThrow(/ENOENT/);
    }
  }
});
