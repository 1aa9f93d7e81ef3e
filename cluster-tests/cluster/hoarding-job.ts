/** A job whose map function keeps Buffers until it is ended for it, once, and says what it does in the log. */
import { existsSync, writeFileSync } from 'node:fs';
import { defineJob, params } from 'millrace';
import { files } from 'millrace/files';
import { generator } from 'millrace/generator';

const mebibyte = 1024 * 1024;
/** At most so many in one call, and one in so many milliseconds: far less than this machine has, also when nobody ends it. */
const buffersMax = 2_000;
const pauseMs = 4;

function keepUntilEnded(kept: Buffer[]): void {
  while (kept.length < buffersMax) {
    kept.push(Buffer.alloc(mebibyte, 1));
    for (const until = performance.now() + pauseMs; performance.now() < until; );
  }
}

export default defineJob('hoarding', (env) => {
  const { once, inOneCall, output } = env.params({
    once: params.string({ description: 'file made when hoarding begins; where it is there, nothing is kept' }),
    inOneCall: params.boolean({ description: 'keeps them all in one call, else one for each record', default: false }),
    output: params.string({ description: 'directory of the results' }),
  });
  const kept: Buffer[] = [];
  let hoards = false;
  env
    .from(generator({ count: 600, ratePerSecond: 300, make: (index) => ({ index }) }), { uid: 'numbers' })
    .map({
      open: (context) => {
        hoards = !existsSync(once);
        if (hoards) writeFileSync(once, '');
        context.logger.warn(hoards ? 'keeps every Buffer' : 'keeps nothing');
      },
      call: (record) => {
        if (hoards && inOneCall) keepUntilEnded(kept);
        else if (hoards) kept.push(Buffer.alloc(mebibyte, 1));
        return record;
      },
    })
    .uid('hoard')
    .to(files.jsonl(output))
    .uid('out');
});
