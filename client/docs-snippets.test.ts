/** Every snippet of the API guide is a whole job file; each must compile as a user would compile it. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { expect, test } from 'vitest';

const repository = fileURLToPath(new URL('..', import.meta.url));

/** Shape of `millrace/files` as the guide uses it; the connector has its own tests. */
const filesDeclaration = `
import type { Sink, Source } from '../../core/connector/index.ts';
type Format<T> = { readonly source: Source<T>; readonly sink: Sink<T> };
export declare const files: {
  parquet<T>(path: string): { readonly source: Source<T> };
  csv<T>(path: string): Format<T>;
  jsonl<T>(path: string): Format<T>;
};
`;

const options: ts.CompilerOptions = {
  target: ts.ScriptTarget.ES2023,
  module: ts.ModuleKind.NodeNext,
  moduleResolution: ts.ModuleResolutionKind.NodeNext,
  strict: true,
  noEmit: true,
  skipLibCheck: true,
  allowImportingTsExtensions: true,
  types: ['node'],
  typeRoots: [join(repository, 'node_modules/@types')],
  paths: {
    millrace: [join(repository, 'client/index.ts')],
    'millrace/files': [join(repository, 'docs/guide/files.ts')],
  },
};

/** Type errors of files that exist only here, beside the real ones of the repository. */
function problemsOf(virtualFiles: ReadonlyMap<string, string>, roots: readonly string[]): string[] {
  const disk = ts.createCompilerHost(options);
  const host: ts.CompilerHost = {
    ...disk,
    fileExists: (name) => virtualFiles.has(name) || disk.fileExists(name),
    readFile: (name) => virtualFiles.get(name) ?? disk.readFile(name),
    getSourceFile: (name, language, ...rest) => {
      const text = virtualFiles.get(name);
      return text === undefined
        ? disk.getSourceFile(name, language, ...rest)
        : ts.createSourceFile(name, text, language);
    },
  };
  return ts.getPreEmitDiagnostics(ts.createProgram(roots, options, host)).map((problem) => {
    const line =
      problem.file === undefined || problem.start === undefined
        ? ''
        : problem.file.text.slice(problem.start).split('\n')[0];
    return `${ts.flattenDiagnosticMessageText(problem.messageText, '\n')} at ${line}`;
  });
}

test('the snippets of the API guide compile when type-checked against the public entry', () => {
  const guide = readFileSync(join(repository, 'docs/guide/api.md'), 'utf8');
  const snippets = [...guide.matchAll(/```ts\n(.*?)```/gs)].map(
    (match, index) => [join(repository, `docs/guide/snippet-${index + 1}.ts`), match[1] as string] as const,
  );
  expect(snippets.length).toBeGreaterThan(5);
  const wrong = join(repository, 'docs/guide/wrong.ts');
  const virtualFiles = new Map([
    ...snippets,
    [join(repository, 'docs/guide/files.ts'), filesDeclaration],
    [wrong, 'export const length: string = 1;'],
  ]);
  // The wrong file shows that errors are seen at all.
  const problems = problemsOf(virtualFiles, [...snippets.map(([name]) => name), wrong]);
  expect(problems).toEqual(["Type 'number' is not assignable to type 'string'. at length: string = 1;"]);
});
