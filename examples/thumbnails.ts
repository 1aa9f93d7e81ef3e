/**
 * Work that is dealt out unevenly, and how to even it out. Each of two readers has the pictures of one camera, and making a
 * thumbnail of a large picture takes long.
 *
 *     npx millrace run examples/thumbnails.ts
 */
import { defineJob, type FunctionContext, params } from 'millrace';
import { files } from 'millrace/files';
import { generator } from 'millrace/generator';

interface Picture {
  id: number;
  camera: 'door' | 'yard';
  pixels: number;
}

interface Thumbnail extends Picture {
  shade: number;
  /** Subtask that made it. */
  worker: number;
}

export default defineJob('thumbnails', (env) => {
  const { pictures: pictureCount, output } = env.params({
    pictures: params.integer({ default: 2_000, description: 'pictures to make' }),
    output: params.string({ default: 'out/thumbnails', description: 'directory of the results' }),
  });
  env.options({ parallelism: 2 });

  const pictures = env.from(
    generator<Picture>({
      count: pictureCount,
      splits: 2,
      // Even numbers are one split and odd ones the other. In each every second picture is a large one.
      make: (id) => ({ id, camera: id % 2 === 0 ? 'door' : 'yard', pixels: id % 4 < 2 ? 40_000 : 400 }),
    }),
    { uid: 'pictures' },
  );

  pictures
    .filter((picture) => picture.camera === 'door' && picture.pixels > 1_000)
    .uid('large-at-the-door')
    // One reader has all of these: without this its subtask would do all the work, and the other none.
    .rebalance()
    .map(new Shrinking())
    .uid('door-thumbnails')
    // What follows stays with the worker. That is so anyway; said here, another parallelism below is refused instead of mixing.
    .forward()
    .map(new Signing())
    .uid('signed')
    .to(files.jsonl(`${output}/door`))
    .uid('door-out');

  pictures
    .filter((picture) => picture.camera === 'yard')
    .uid('at-the-yard')
    // Every second picture is large: dealt out in turn, one of two workers would get all of them. Chance knows no pattern.
    .shuffle()
    .map(new Shrinking())
    .uid('yard-thumbnails')
    .to(files.jsonl(`${output}/yard`))
    .uid('yard-out');
});

/** Stands for a slow function: looks at each pixel once. */
class Shrinking {
  #worker = -1;

  open(context: FunctionContext): void {
    this.#worker = context.subtaskIndex;
  }

  call(picture: Readonly<Picture>): Thumbnail {
    let shade = picture.id;
    for (let pixel = 0; pixel < picture.pixels; pixel++) shade = (shade * 31 + pixel) % 256;
    return { id: picture.id, camera: picture.camera, pixels: picture.pixels, shade, worker: this.#worker };
  }
}

/** Writes the subtask that it runs in on each thumbnail. */
class Signing {
  #worker = -1;

  open(context: FunctionContext): void {
    this.#worker = context.subtaskIndex;
  }

  call(thumbnail: Readonly<Thumbnail>): Thumbnail & { signedBy: number } {
    return { ...thumbnail, signedBy: this.#worker };
  }
}
