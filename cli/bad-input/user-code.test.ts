/** User functions that throw, spin or exit, and ports that are taken: named, and the mended job goes on where it was. */
import { createServer, type Server } from 'node:net';
import { once } from 'node:events';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { countsOf, expectFinished, expectRefusal, ScratchProject } from './scratch-project.test-support.ts';

let project: ScratchProject;
const servers: Server[] = [];
beforeEach(() => {
  project = new ScratchProject();
});
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
  project.dispose();
});

const total = 700;

/** Slow enough for checkpoints before the record at which it goes wrong. */
function writeJob(fault: string): void {
  project.writeJob(`  env.from(generator({ count: ${total}, ratePerSecond: 2_000, make: (n) => n }), { uid: 'numbers' })
    .map((n) => {
      ${fault}
      return n;
    }).uid('faulty')
    .keyBy((n) => n % 7).aggregate({ seen: count() }).uid('counts').to(files.jsonl('out')).uid('results');`);
}

test.each([
  [
    'throws',
    `if (n === 600) throw new RangeError('no ' + n);`,
    [],
    /error: the function of operator 'faulty' threw RangeError: no 600\n[\s\S]*USER_FUNCTION_FAILED[\s\S]*at .*job\.ts:\d+[\s\S]*\n→ mend the function/,
  ],
  [
    'exits',
    'if (n === 600) process.exit(3);',
    [],
    /error: while .*'faulty'.* ran, the thread of a slot ended with exit code 3\n[\s\S]*SLOT_EXITED[\s\S]*\n→ .*process\.exit/,
  ],
  [
    'spins',
    'if (n === 600) for (;;);',
    ['--stuck-timeout', '1s'],
    /error: .*'faulty'.* has not returned for 1 s[\s\S]*USER_FUNCTION_STUCK[\s\S]*\n→ .*endless loop/,
  ],
  [
    'throws in a timer',
    `if (n === 600) setTimeout(() => { throw new Error('later'); }, 0);`,
    [],
    /error: an error outside of any call of the engine.*: later\n[\s\S]*at .*job\.ts:\d+[\s\S]*\n→ catch it/,
  ],
] as const)('a function that %s is named, and the mended job loses nothing', async (_what, fault, args, message) => {
  writeJob(fault);
  expectRefusal(await project.run('--max-restarts', '0', ...args), message);
  writeJob('');
  const mended = await project.run();
  expectFinished(mended);
  expect(mended.stderr).toMatch(/functions of operator .*faulty/);
  expect(await project.results()).toEqual(countsOf(total));
});

test('a port in use is named with what to do, and only a job with several slots opens one', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  servers.push(server);
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  // The other ports of the range may be free or not: with one of them taken, two slots do not fit.
  const range = port < 65_535 ? `${port}-${port + 1}` : `${port - 1}-${port}`;
  writeJob('');
  expectRefusal(
    await project.run('--parallelism', '2', '--data-ports', range),
    new RegExp(
      `error: every port of ${range} on 127\\.0\\.0\\.1 is in use\\n[\\s\\S]*PORT_IN_USE[\\s\\S]*\\n→ .*--data-ports`,
    ),
  );
  expectFinished(await project.run('--data-ports', String(port)));
  expect(await project.results()).toEqual(countsOf(total));
});

test('fewer ports than slots are wrong usage', async () => {
  writeJob('');
  expectRefusal(
    await project.run('--parallelism', '3', '--data-ports', '7000-7001'),
    /2 ports.*3 slots[\s\S]*\n→ name 3 ports/,
    2,
  );
});
