/**
 * Clicks with the title of each page, which an HTTP service knows. Up to 20 requests are under way at a time; the service
 * is busy now and then (503) and is asked again; pages that it does not know (404) go to a file of their own.
 *
 *     npx millrace run examples/async-lookup.ts
 */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import {
  type AsyncCallContext,
  defineJob,
  type FailedRecord,
  milliseconds,
  outputTag,
  params,
  seconds,
  sideOutput,
} from 'millrace';
import { files } from 'millrace/files';

interface Click {
  user: string;
  page: string;
  at: string;
}

interface TitledClick extends Click {
  title: string;
}

/** What the service answered instead of a title. */
class Refused extends Error {
  readonly status: number;

  constructor(status: number, page: string) {
    super(`${status} for ${page}`);
    this.status = status;
  }
}

const unknownPages = outputTag<FailedRecord<Click>>('unknown-pages');

export default defineJob('async-lookup', (env) => {
  const { input, output } = env.params({
    input: params.string({ default: 'examples/data/clicks.jsonl', description: 'JSON lines with user, page and at' }),
    output: params.string({ default: 'out/async-lookup', description: 'directory of the results' }),
  });

  const titled = env
    .from(files.jsonl<Click>(input), { uid: 'clicks' })
    .asyncMap(new TitleLookup(), {
      order: 'ordered',
      capacity: 20,
      timeout: seconds(10),
      retry: {
        attempts: 5,
        delay: milliseconds(10),
        backoff: 2,
        if: (error) => !(error instanceof Refused) || error.status === 503,
      },
    })
    .uid('titles')
    .onError(sideOutput(unknownPages));

  titled.to(files.jsonl(`${output}/titled`)).uid('titled');
  titled
    .sideOutput(unknownPages)
    .map(({ record, message }) => ({ ...record, message }))
    .to(files.jsonl(`${output}/unknown`))
    .uid('unknown');
});

/** Asks the service; one connection pool per subtask. */
class TitleLookup {
  readonly #service = new TitleService();
  #address = '';

  async open(): Promise<void> {
    this.#address = await this.#service.start();
  }

  async call(click: Readonly<Click>, { signal }: AsyncCallContext): Promise<TitledClick> {
    const response = await fetch(`${this.#address}${click.page}`, { signal });
    const title = await response.text();
    if (response.status !== 200) throw new Refused(response.status, click.page);
    return { ...click, title };
  }

  async close(): Promise<void> {
    await this.#service.stop();
  }
}

/** Stands for a service that is elsewhere, so that the example runs without one. Every third request finds it busy. */
class TitleService {
  readonly #titles = new Map([
    ['/', 'Welcome'],
    ['/docs', 'Documentation'],
  ]);
  readonly #server: Server;
  #requests = 0;

  constructor() {
    this.#server = createServer((request, response) => {
      const title = this.#titles.get(request.url ?? '');
      this.#requests++;
      if (this.#requests % 3 === 0) response.writeHead(503).end();
      else if (title === undefined) response.writeHead(404).end();
      else response.writeHead(200).end(title);
    });
  }

  async start(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }
}
