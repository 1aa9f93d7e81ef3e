/** Input files and job definitions that are wrong: told once, by name, without a try that cannot help. */
import { readFileSync, symlinkSync, unlinkSync } from 'node:fs';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { expectFinished, expectRefusal, ScratchProject } from './scratch-project.test-support.ts';

let project: ScratchProject;
beforeEach(() => {
  project = new ScratchProject();
});
afterEach(() => project.dispose());

function writeCountingJob(options = '', settings = ''): void {
  project.writeJob(
    `  env.from(files.jsonl<{ k: number }>('in.jsonl'${options}), { uid: 'in' })
    .keyBy((row) => row.k).aggregate({ seen: count() }).uid('counts').to(files.jsonl('out')).uid('results');`,
    settings,
  );
}

const good = '{"k":1}\n{"k":2}\n{"k":1}\n';
const malformed = '{"k":1}\n{"k":\n{"k":2}\n{"k":1}\n';
const counts = ['{"key":1,"seen":1}', '{"key":1,"seen":2}', '{"key":2,"seen":1}'];

test('a missing input file fails at once by name, and the same command goes on when it is there', async () => {
  writeCountingJob();
  expectRefusal(
    await project.run(),
    /error: the input \S+in\.jsonl does not exist[\s\S]*INPUT_NOT_FOUND[\s\S]*\n→ correct the path/,
  );
  project.write('in.jsonl', good);
  expectFinished(await project.run());
  expect(await project.results()).toEqual(counts);
});

test('a malformed line fails with its place, and nothing is lost when it was mended', async () => {
  writeCountingJob();
  project.write('in.jsonl', malformed);
  expectRefusal(
    await project.run(),
    /error: \S+in\.jsonl, line 2 \(byte 8\): the line is not JSON[\s\S]*INPUT_MALFORMED[\s\S]*\n→ .*onMalformed/,
  );
  expect(await project.results()).toEqual([]);
  project.write('in.jsonl', malformed.replace('{"k":\n', '{"k":3}\n'));
  expectFinished(await project.run());
  expect(await project.results()).toEqual([...counts, '{"key":3,"seen":1}']);
});

test('a malformed line is counted and the others arrive when the policy is skip', async () => {
  writeCountingJob(`, { onMalformed: 'skip' }`);
  project.write('in.jsonl', malformed);
  const ended = await project.run();
  expectFinished(ended);
  expect(ended.stdout).toMatch(/malformedRecords +1\n/);
  expect(await project.results()).toEqual(counts);
});

test('a malformed line lies in the dead-letter file with its place and reason when the policy names one', async () => {
  writeCountingJob(`, { onMalformed: { deadLetterFile: 'dead.jsonl' } }`);
  project.write('in.jsonl', malformed);
  expectFinished(await project.run());
  expect(await project.results()).toEqual(counts);
  expect(JSON.parse(readFileSync(project.path('dead.jsonl'), 'utf8'))).toMatchObject({
    file: project.path('in.jsonl'),
    line: 2,
    byteOffset: 8,
    raw: '{"k":',
  });
});

test('a run fails by name when the disk of the dead-letter file is full, and loses nothing', async () => {
  writeCountingJob(`, { onMalformed: { deadLetterFile: 'dead.jsonl' } }`);
  project.write('in.jsonl', malformed);
  symlinkSync('/dev/full', project.path('dead.jsonl'));
  expectRefusal(
    await project.run('--max-restarts', '0'),
    /error: .*dead\.jsonl failed: the disk or quota is full[\s\S]*STORAGE_FULL[\s\S]*\n→ make room/,
  );
  unlinkSync(project.path('dead.jsonl'));
  expectFinished(await project.run());
  expect(await project.results()).toEqual(counts);
  expect(readFileSync(project.path('dead.jsonl'), 'utf8').trim().split('\n')).toHaveLength(1);
});

test('a policy that does not exist is refused before anything runs', async () => {
  writeCountingJob(`, { onMalformed: { deadLetter: 'dead.jsonl' } } as never`);
  expectRefusal(
    await project.run(),
    /error: files\.jsonl: onMalformed is .*deadLetter[\s\S]*JOB_INVALID[\s\S]*\n→ write/,
  );
});

test('a parallelism above maxParallelism is refused, whoever asks for it', async () => {
  project.write('in.jsonl', good);
  writeCountingJob('', '{ maxParallelism: 2 }');
  expectRefusal(
    await project.run('--parallelism', '3'),
    /error: .*parallelism 3 is above maxParallelism 2[\s\S]*\n→ choose a parallelism of 1 to 2/,
  );
  project.writeJob(
    `  env.from(files.jsonl<{ k: number }>('in.jsonl'), { uid: 'in' }).map((row) => row).parallelism(3).uid('wide').to(files.jsonl('out')).uid('o');`,
    '{ maxParallelism: 2 }',
  );
  expectRefusal(await project.run(), /error: .*wide.*parallelism 3, more than maxParallelism 2/);
  writeCountingJob('', '{ maxParallelism: 2 }');
  expectFinished(await project.run('--parallelism', '2'));
  expect(await project.results()).toEqual(counts);
});

test('two operators with one uid are refused, naming both', async () => {
  project.writeJob(
    `  env.from(files.jsonl<{ k: number }>('in.jsonl'), { uid: 'in' }).map((row) => row).uid('twice').filter(() => true).uid('twice').to(files.jsonl('out')).uid('o');`,
  );
  expectRefusal(await project.run(), /error: .*map .*filter .*both have the id 'twice'/);
});

test('a job that builds another graph the second time is refused with what differs', async () => {
  project.writeJob(
    `  const uid = 'made-at-' + process.hrtime.bigint();
  env.from(generator({ count: 9, make: (n) => n }), { uid: 'in' }).map((n) => n).uid(uid).to(files.jsonl('out')).uid('o');`,
  );
  expectRefusal(
    await project.run(),
    /error: .*'scratch' is not deterministic.*operator 'made-at-\d+' \(map\) was removed[\s\S]*JOB_NOT_DETERMINISTIC[\s\S]*\n→/,
  );
});
