#!/usr/bin/env node
/** Entry of the `millrace` command. Only starts the built program, and says so when there is none. */
import { existsSync } from 'node:fs';

const entry = new URL('../dist/cli/main.js', import.meta.url);
const [major, minor] = process.versions.node.split('.').map(Number);

if (major < 20 || (major === 20 && minor < 20)) {
  process.stderr.write(`error: millrace needs Node 20.20 or later, this is ${process.versions.node}\n`);
  process.exitCode = 1;
} else if (!existsSync(entry)) {
  process.stderr.write('error: millrace is not built: dist/ is missing\n→ npm run build\n');
  process.exitCode = 1;
} else {
  const { main } = await import(entry.href);
  await main(process.argv.slice(2));
}
